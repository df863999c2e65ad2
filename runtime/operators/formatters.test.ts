import { afterEach, describe, expect, it } from 'vitest';
import { Span } from '../data/batch.js';
import { bigintReaderOf, locatorOf } from '../data/field.js';
import type { Kind } from '../data/kind.js';
import { selectColumns } from '../output/select-columns.js';
import { testBatch, testSource } from '../output/testing.js';
import { addFormatters } from './formatters.js';
import { durationText } from './formatters/amount.js';
import { textsOf } from './testing.js';

const OPTIONS = { bootToEpochNs: 0n };

/** The texts that values of a type get. */
function format(
  type: string,
  kind: Kind,
  values: readonly (number | bigint)[],
  bootToEpochNs = 0n,
): unknown[] {
  const source = testSource([{ name: 'v_raw', kind, tags: [`type:${type}`] }]);
  const batch = testBatch(
    source,
    values.map((value) => ({ v_raw: value })),
  );
  addFormatters(source, { bootToEpochNs });
  return textsOf(source, 'v', batch);
}

describe('formatters', () => {
  it('names errors, signals and system calls', () => {
    expect(format('gadget_errno', 'uint32', [0, 2, 133, 41, 999])).toEqual([
      '',
      'ENOENT',
      'EHWPOISON',
      'error#41',
      'error#999',
    ]);
    expect(format('gadget_signal', 'uint32', [9, 15, 31, 34])).toEqual([
      'SIGKILL',
      'SIGTERM',
      'SIGSYS',
      'signal#34',
    ]);
    expect(format('gadget_syscall', 'uint64', [process.arch === 'arm64' ? 221 : 59, 9999])).toEqual([
      'SYS_EXECVE',
      'SYS_UNKNOWN',
    ]);
  });

  it('writes amounts of bytes with decimal units', () => {
    expect(format('gadget_bytes', 'uint64', [0, 9, 999, 1000, 1234, 82854982, 2n ** 63n, 9999])).toEqual([
      '0 B',
      '9 B',
      '999 B',
      '1.0 kB',
      '1.2 kB',
      '83 MB',
      '9.2 EB',
      '10 kB',
    ]);
  });

  it('writes durations like Go', () => {
    expect(
      format('gadget_duration', 'uint64', [0, 1, 1500, 1_500_000, 2_000_000_000, 3_723_500_000_000n]),
    ).toEqual(['0s', '1ns', '1.5µs', '1.5ms', '2s', '1h2m3.5s']);
    expect([60_000_000_000n, 3_600_000_000_001n, -1n].map(durationText)).toEqual([
      '1m0s',
      '1h0m0.000000001s',
      '-1ns',
    ]);
  });

  it('writes modes and flags of files', () => {
    expect(format('gadget_file_mode', 'uint32', [0o644, 0o40755, 0o104755, 0o41777, 0o2640])).toEqual([
      '-rw-r--r--',
      'drwxr-xr-x',
      '-rwsr-xr-x',
      'drwxrwxrwt',
      '-rw-r-S---',
    ]);
    expect(format('gadget_file_flags', 'uint32', [0, 0o2001101, 0o4010002, 0x8000_0000])).toEqual([
      'O_RDONLY',
      'O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC',
      'O_RDWR|O_SYNC',
      'O_RDONLY|0x80000000',
    ]);
  });

  it('hides the number and puts the text beside it, with its alias and template', () => {
    const source = testSource([
      {
        name: 'a.error_raw',
        kind: 'uint32',
        tags: ['type:gadget_errno'],
        annotations: { 'columns.alias': 'e_raw' },
      },
      { name: 'b', kind: 'uint8' },
    ]);
    addFormatters(source, OPTIONS);
    expect(selectColumns(source).map(({ title, width }) => [title, width])).toEqual([
      ['E', 12],
      ['B', 16],
    ]);
  });

  it('goes by the annotation where the name does not end in _raw, and else leaves it alone', () => {
    const source = testSource([
      { name: 'p.code', kind: 'int32', annotations: { 'formatters.errno.target': 'problem' } },
      { name: 'sig', kind: 'uint32', tags: ['type:gadget_signal'] },
    ]);
    addFormatters(source, OPTIONS);
    expect(source.fields.map((field) => field.fullName)).toEqual(['p.code', 'sig', 'p.problem']);
    expect(source.field('sig')!.hidden).toBe(false);
  });

  it('does nothing where a field of that name exists', () => {
    const source = testSource([
      { name: 't_raw', kind: 'uint64', tags: ['type:gadget_timestamp'] },
      { name: 't', kind: 'string' },
    ]);
    addFormatters(source, { bootToEpochNs: 5n });
    expect(source.fields).toHaveLength(2);
    expect(source.field('t_raw')).toMatchObject({ hidden: false, location: { in: 'record' } });
  });
});

describe('timestamps', () => {
  const timezone = process.env['TZ'];
  afterEach(() => {
    if (timezone === undefined) delete process.env['TZ'];
    else process.env['TZ'] = timezone;
  });

  it('become wall-clock time, as text and as number', () => {
    process.env['TZ'] = 'UTC';
    const source = testSource([{ name: 't_raw', kind: 'uint64', tags: ['type:gadget_timestamp'] }]);
    const bootToEpochNs = 1_787_313_600_000_000_000n;
    const values = [1n, 999_999_999n, 1_000_000_000n, 4_294_967_296n];
    const batch = testBatch(
      source,
      values.map((value) => ({ t_raw: value })),
    );
    addFormatters(source, { bootToEpochNs });
    expect(textsOf(source, 't', batch)).toEqual([
      '2026-08-21T12:00:00.000000001Z',
      '2026-08-21T12:00:00.999999999Z',
      '2026-08-21T12:00:01.000000000Z',
      '2026-08-21T12:00:04.294967296Z',
    ]);
    const span = new Span();
    locatorOf(source.field('t_raw')!)(batch, 3, span);
    expect(bigintReaderOf('uint64')(span)).toBe(bootToEpochNs + values[3]!);
  });

  it('stand for themselves, whatever came before them', () => {
    process.env['TZ'] = 'UTC';
    const second = 1_787_313_600_000_000_000n;
    const values = [0n, -1n, 999_999_999n, 1n, 1_000_000_000n, 2n ** 32n, 2n ** 32n + 7n, -(2n ** 33n), 5n];
    expect(
      format(
        'gadget_timestamp',
        'uint64',
        values.map((value) => second + value),
      ),
    ).toEqual([
      '2026-08-21T12:00:00.000000000Z',
      '2026-08-21T11:59:59.999999999Z',
      '2026-08-21T12:00:00.999999999Z',
      '2026-08-21T12:00:00.000000001Z',
      '2026-08-21T12:00:01.000000000Z',
      '2026-08-21T12:00:04.294967296Z',
      '2026-08-21T12:00:04.294967303Z',
      '2026-08-21T11:59:51.410065408Z',
      '2026-08-21T12:00:00.000000005Z',
    ]);
  });

  it('are local, with the zone of their moment', () => {
    process.env['TZ'] = 'Asia/Kathmandu';
    expect(format('gadget_timestamp', 'uint64', [1n])).toEqual(['1970-01-01T05:30:00.000000001+05:30']);
    process.env['TZ'] = 'America/New_York';
    expect(format('gadget_timestamp', 'uint64', [1_787_313_600_000_000_000n])).toEqual([
      '2026-08-21T08:00:00.000000000-04:00',
    ]);
  });

  it('are undefined where the kernel had no clock', () => {
    expect(format('gadget_timestamp', 'uint64', [0n], 7n)).toEqual([undefined]);
  });
});
