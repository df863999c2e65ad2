import { describe, expect, it } from 'vitest';
import { countCells } from './cell-width.js';
import { type ColumnSpec, columnOf } from './column-spec.js';
import { columnsOutput } from './columns.js';
import { selectColumns } from './select-columns.js';
import { type TestField, type TestRow, headerOf, testBatch, testSource, written } from './testing.js';

/** Header and lines of a table of these fields. */
function table(fields: readonly TestField[], rows: readonly TestRow[], widthColumns?: number): string[] {
  const source = testSource(fields);
  const output = columnsOutput(selectColumns(source), widthColumns);
  return (headerOf(output) + written(output, testBatch(source, rows))).slice(0, -1).split('\n');
}

/** One text in a column of `width` cells, another column behind it. */
function cell(text: string | Uint8Array, width: number, annotations: Record<string, string> = {}): string {
  const fixed = { 'columns.width': String(width), 'columns.fixed': 'true' };
  const fields: TestField[] = [
    { name: 't', kind: 'string', annotations: { ...fixed, ...annotations } },
    { name: 'n', kind: 'uint8' },
  ];
  return table(fields, [{ t: text, n: 7 }], width + 10)[1]!.slice(0, -2);
}

describe('columns without a terminal', () => {
  it('pads to the width, never cuts, and leaves no trailing spaces', () => {
    const fields: TestField[] = [
      { name: 'runtime.containerName', kind: 'string' },
      { name: 'proc.comm', kind: 'cstring', annotations: { 'columns.alias': 'comm', 'columns.width': '6' } },
      { name: 'pid', kind: 'uint32', annotations: { 'columns.width': '7', 'columns.alignment': 'right' } },
      { name: 'args', kind: 'strings' },
    ];
    const rows = [
      { 'runtime.containerName': 'test', 'proc.comm': 'sh', pid: 12, args: ['sh', '-c', 'a  b'] },
      { 'runtime.containerName': 'a-name-longer-than-its-column', 'proc.comm': 'sh', pid: 1 },
    ];
    expect(table(fields, rows)).toEqual([
      'RUNTIME.CONTAINERNAME COMM       PID ARGS',
      'test                  sh          12 sh -c a  b',
      'a-name-longer-than-its-column sh           1',
    ]);
  });

  it('writes every kind, undefined values as nothing', () => {
    const narrow = { 'columns.width': '1' };
    const fields: TestField[] = [
      { name: 'a', kind: 'bool', annotations: narrow },
      { name: 'b', kind: 'uint64', annotations: narrow },
      { name: 'c', kind: 'int16', annotations: { ...narrow, 'columns.hex': 'true' } },
      { name: 'd', kind: 'uint32', annotations: { ...narrow, 'columns.hex': 'true' } },
      { name: 'e', kind: 'float64', annotations: narrow },
      { name: 'f', kind: 'float32', annotations: { ...narrow, 'columns.precision': '0' } },
      { name: 'g', kind: 'bytes', annotations: narrow },
      { name: 'h', kind: 'uint8', length: 3, annotations: narrow },
      { name: 'i', kind: 'string', annotations: narrow },
      { name: 'j', kind: 'uint32', annotations: { ...narrow, 'columns.hex': 'true' } },
    ];
    const row = {
      a: true,
      b: 2n ** 64n - 1n,
      c: -1,
      d: 0,
      e: 1.005,
      f: 2.5,
      g: Uint8Array.of(1, 255),
      h: [1, 2, 3],
    };
    expect(table(fields, [{ ...row, j: 0x0a0b }])[1]).toBe(
      'true 18446744073709551615 0xffff 0x0 1.00 3 01ff [1,2,3]   0xa0b',
    );
  });
});

describe('columns on a terminal', () => {
  const three: TestField[] = ['a', 'b', 'c'].map((name) => ({ name, kind: 'string' }));
  const long = { a: 'x'.repeat(99), b: 'y'.repeat(99), c: 'z'.repeat(99) };

  it('shrinks and grows in proportion; every line is as wide as the terminal', () => {
    for (const width of [20, 47, 80, 200]) {
      const [, line] = table(three, [long], width);
      expect(line).toHaveLength(width);
      expect(line!.indexOf(' ')).toBe(Math.floor((width - 2) / 3));
    }
  });

  it('respects limits and fixed widths, and gives the rest to the last column', () => {
    const fields: TestField[] = [
      { name: 'a', kind: 'string', annotations: { 'columns.minwidth': '14' } },
      { name: 'b', kind: 'string', annotations: { 'columns.fixed': 'true', 'columns.width': '5' } },
      { name: 'c', kind: 'string', annotations: { 'columns.maxwidth': '4' } },
      { name: 'd', kind: 'string' },
    ];
    const lengths = (width: number): number[] =>
      table(fields, [{ ...long, d: 'd'.repeat(200) }], width)[1]!
        .split(' ')
        .map((part) => part.length);
    expect(lengths(30)).toEqual([14, 5, 1, 7]);
    expect(lengths(120)).toEqual([54, 5, 4, 54]);
  });

  it('keeps short titles whole while there is room, and cuts them too when there is none', () => {
    const fields: TestField[] = [
      { name: 'args', kind: 'string', annotations: { 'columns.width': '60' } },
      { name: 'error', kind: 'string', annotations: { 'columns.width': '5' } },
      { name: 'group', kind: 'string', annotations: { 'columns.width': '5' } },
    ];
    expect(table(fields, [], 40)[0]).toBe('ARGS'.padEnd(28) + ' ERROR GROUP');
    expect(table(fields, [], 12)[0]!.length).toBeLessThanOrEqual(12);
  });

  it('leaves expendable columns out, the last first, until the others are readable; never what was asked for', () => {
    const field = (name: string, annotations: Record<string, string> = {}): TestField => ({
      name,
      kind: 'string',
      annotations,
    });
    const fields = [
      field('comm'),
      field('tid', { 'columns.expendable': 'true' }),
      field('args', { 'columns.width': '40' }),
      field('group', { 'columns.expendable': 'true' }),
    ];
    const titles = (width: number): string[] => table(fields, [], width)[0]!.split(/ +/);
    expect(titles(80)).toEqual(['COMM', 'TID', 'ARGS', 'GROUP']);
    expect(titles(40)).toEqual(['COMM', 'TID', 'ARGS']);
    expect(titles(30)).toEqual(['COMM', 'ARGS']);
    const changed = columnsOutput(selectColumns(testSource(fields), '-comm'), 20);
    expect(headerOf(changed).trim()).toBe('ARGS');
    const asked = columnsOutput(selectColumns(testSource(fields), 'comm,tid,args,group'), 30);
    expect(headerOf(asked).trim().split(/ +/)).toHaveLength(4);
  });

  it('writes an empty line for each record where no column is shown', () => {
    expect(table([{ name: 'a', kind: 'uint8', hidden: true }], [{ a: 1 }, { a: 2 }], 40)).toEqual([
      '',
      '',
      '',
    ]);
  });

  it('computes the widths again when the terminal changes', () => {
    const source = testSource(three);
    const output = columnsOutput(selectColumns(source), 80);
    output.resize!(20);
    expect(written(output, testBatch(source, [long]))).toBe('xxxxx… yyyyy… zzzzz…\n');
  });

  it('cuts where the annotation says', () => {
    expect(cell('0123456789', 6)).toBe('01234…');
    expect(cell('0123456789', 6, { 'columns.ellipsis': 'start' })).toBe('…56789');
    expect(cell('0123456789', 6, { 'columns.ellipsis': 'middle' })).toBe('012…89');
    expect(cell('0123456789', 6, { 'columns.ellipsis': 'none' })).toBe('012345');
    expect(cell('0123456789', 1)).toBe('…');
    expect(cell('012345', 6)).toBe('012345');
  });

  it('counts cells, not characters', () => {
    expect(cell('漢字', 6)).toBe('漢字  ');
    expect(cell('漢字漢字', 6)).toBe('漢字… ');
    expect(cell('漢字漢字', 6, { 'columns.ellipsis': 'start' })).toBe('…漢字 ');
    expect(cell('😀😀😀', 4)).toBe('😀… ');
    expect(cell('e\u0301e\u0301', 3)).toBe('e\u0301e\u0301 ');
    expect(cell('e\u0301e\u0301e\u0301', 2)).toBe('e\u0301…');
  });

  it('fits a fixed view of titles, widths and alignment', () => {
    const source = testSource([
      { name: 'proc.pid', kind: 'uint32' },
      { name: 'error', kind: 'string' },
    ]);
    const view: ColumnSpec[] = [
      columnOf(source.field('proc.pid')!, { title: 'PID', width: 6 }),
      columnOf(source.field('error')!, { title: 'RET', width: 3, alignment: 'right' }),
    ];
    expect(headerOf(columnsOutput(view))).toBe('PID    RET\n');
  });
});

describe('columns and a hostile process', () => {
  it('shows what could drive the terminal', () => {
    const shown: [string | Uint8Array, string][] = [
      ['\u001b[2J', '\\x1b[2J'],
      ['\u001b]0;title\u0007', '\\x1b]0;title\\x07'],
      ['a\rb\bc\nd\te', 'a\\rb\\x08c\\nd\\te'],
      ['\u009b31m', '\\u009b31m'],
      [Uint8Array.of(0x9b, 0x33), '\\x9b3'],
      ['\u007f', '\\x7f'],
      ['a\u202eb\u2066\u200f', 'a\\u202eb\\u2066\\u200f'],
      ['\u2028', '\\u2028'],
      ['C:\\x', 'C:\\x'],
    ];
    for (const [text, expected] of shown)
      expect(table([{ name: 't', kind: 'string' }], [{ t: text }])[1]).toBe(expected);
  });

  it('shows a character wherever it stands in a text', () => {
    for (let code = 0; code < 0x80; code++) {
      const character = String.fromCharCode(code);
      const shown = table([{ name: 't', kind: 'string' }], [{ t: `${character}|` }])[1]!.slice(0, -1);
      for (let at = 0; at < 9; at++) {
        const [before, after] = ['~'.repeat(at), '!'.repeat(8 - at)];
        const line = table([{ name: 't', kind: 'string' }], [{ t: before + character + after }])[1];
        expect(line).toBe((before + shown + after).trimEnd());
      }
    }
  });

  it('writes one line without controls for any bytes, at most as wide as the terminal', () => {
    let state = 7;
    const random = (): number => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) >>> 16;
    const kinds = ['none', 'start', 'middle', 'end'];
    for (let i = 0; i < 500; i++) {
      const bytes = Uint8Array.from({ length: random() % 50 }, () => random() & 0xff);
      const fields: TestField[] = [
        { name: 'a', kind: 'string', annotations: { 'columns.ellipsis': kinds[i % 4]! } },
        { name: 'b', kind: 'strings' },
      ];
      const lines = table(fields, [{ a: bytes, b: bytes }], 30);
      expect(lines).toHaveLength(2);
      const line = Buffer.from(lines[1]!);
      expect(countCells(line, 0, line.length)).toBeLessThanOrEqual(30);
      expect(lines[1]).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\ufffd]/);
    }
  });
});
