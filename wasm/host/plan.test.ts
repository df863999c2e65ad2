// Which plans of a module are accepted, and what is said of the others.

import { describe, expect, it } from 'vitest';
import { DataSource } from '../../runtime/data/data-source.js';
import { describeSource } from './describe.js';
import { GuestError } from './errors.js';
import type { GuestNewField, GuestPlan } from './guest.js';
import { checkPlan } from './plan.js';

function execSource(): DataSource {
  const source = new DataSource('exec', 'single', 40);
  source.addField({ fullName: 'proc', kind: 'none', location: { in: 'nowhere' } });
  source.addField({
    fullName: 'proc.comm',
    kind: 'cstring',
    location: { in: 'record', offset: 0, size: 16 },
    tags: ['type:gadget_comm'],
  });
  source.addField({ fullName: 'argv', kind: 'strings', location: { in: 'tail', offset: 16 } });
  source.addField({
    fullName: 'ids',
    kind: 'uint32',
    length: 4,
    location: { in: 'record', offset: 24, size: 16 },
    annotations: { 'value.undefined': '0', description: 'Some ids' },
  });
  source.addColumn({
    fullName: 'runtime.containerName',
    kind: 'cstring',
    annotations: { 'value.undefined': '0' },
  });
  source.addField({ fullName: 'error', kind: 'string', location: { in: 'derived', locate: () => false } });
  return source;
}

const described = [describeSource(execSource(), 0)];
const [CONTAINER_NAME, ERROR] = [3, 4];

const field = (edit: Partial<GuestNewField> = {}): GuestNewField => ({
  name: 'x',
  kind: 'u32',
  length: 1,
  tags: [],
  annotations: [],
  ...edit,
});
const EMPTY: GuestPlan = { columns: [], reads: [], emits: [], tickMs: 0 };
const check = (edit: Partial<GuestPlan>): void => checkPlan({ ...EMPTY, ...edit }, described);

describe('what a module gets to know', () => {
  it('is every field with a value, with its place', () => {
    const common = { length: 1, tags: [], annotations: [] };
    const column = { ...common, kind: 'text', place: 'column', offset: 0, size: 0 };
    expect(described[0]!.source).toEqual({
      id: 0,
      name: 'exec',
      fields: [
        {
          ...common,
          name: 'proc.comm',
          kind: 'cstring',
          place: 'fixed',
          offset: 0,
          size: 16,
          tags: ['type:gadget_comm'],
        },
        { ...common, name: 'argv', kind: 'text-list', place: 'tail', offset: 16, size: 8 },
        {
          ...common,
          name: 'ids',
          kind: 'u32',
          length: 4,
          place: 'fixed',
          offset: 24,
          size: 16,
          annotations: [
            ['value.undefined', '0'],
            ['description', 'Some ids'],
          ],
        },
        { ...column, name: 'runtime.containerName' },
        { ...column, name: 'error' },
      ],
    });
  });
});

describe('a plan', () => {
  it('may be empty, and may be full', () => {
    check({});
    check({
      columns: Array.from({ length: 256 }, (_, i) => ({
        source: 0,
        field: field({ name: `f${i}`, length: 1024 }),
      })),
      reads: [
        [0, CONTAINER_NAME],
        [0, ERROR],
      ],
      emits: Array.from({ length: 16 }, (_, i) => ({
        name: `source-${i}`,
        fields: [field({ kind: 'text-list', tags: ['a'], annotations: [['description', 'ä "b"']] })],
      })),
      tickMs: 10,
    });
  });

  const columns = (edit: Partial<GuestNewField>, source = 0): Partial<GuestPlan> => ({
    columns: [{ source, field: field(edit) }],
  });
  const times = <T>(count: number, value: T): T[] => new Array<T>(count).fill(value);

  it.each<[string, Partial<GuestPlan>, string]>([
    [
      'fields',
      { columns: times(257, { source: 0, field: field() }) },
      'adds 257 fields, but at most 256 are',
    ],
    ['its source', columns({}, 1), 'adds field "x" to data source number 1, which does not exist'],
    ['a name', columns({ name: 'a b' }), 'adds field "a b" to data source exec, which is not a name'],
    ['a long name', columns({ name: 'a'.repeat(129) }), 'which is not a name'],
    ['a kind', columns({ kind: 'cstring' }), 'of kind cstring, which a new field cannot have'],
    ['a length of 0', columns({ length: 0 }), 'of kind u32 and length 0, but it must be 1, or for numbers'],
    ['a length', columns({ length: 1025 }), 'of kind u32 and length 1025, but'],
    ['texts', columns({ kind: 'text', length: 2 }), 'of kind text and length 2, but it must be 1'],
    ['booleans', columns({ kind: 'boolean', length: 2 }), 'of kind boolean and length 2, but it must be 1'],
    ['tags', columns({ tags: times(33, 'a') }), 'with 33 tags, but at most 32 are allowed'],
    ['a long tag', columns({ tags: ['a'.repeat(129)] }), 'with a tag of more than 128 characters'],
    ['a tag', columns({ tags: ['a\u001bb'] }), 'with a tag that has a line break or control character'],
    ['annotations', columns({ annotations: times(65, ['a', 'b']) }), 'with 65 annotations, but at most 64'],
    ['no key', columns({ annotations: [['', 'b']] }), 'with an annotation without a key'],
    ['a key', columns({ annotations: [['a\n', 'b']] }), "with an annotation's key that has a line break"],
    [
      'a value',
      columns({ annotations: [['a', '\u2028']] }),
      'with a value of annotation "a" that has a line',
    ],
    ['a long value', columns({ annotations: [['a', 'b'.repeat(1025)]] }), 'of more than 1024 characters'],
    ['a field twice', { columns: times(2, { source: 0, field: field() }) }, 'adds field "x" twice'],
    ['reads', { reads: times(1025, [0, ERROR]) }, 'reads 1025 fields, but at most 1024 are allowed'],
    ['a read', { reads: [[0, 5]] }, 'reads field number 5 of data source number 0, which does not exist'],
    ['a source read', { reads: [[7, 0]] }, 'reads field number 0 of data source number 7, which does not'],
    [
      'a read of a record',
      { reads: [[0, 1]] },
      'reads field argv of data source exec as a column, but it is in the record, with place tail',
    ],
    ['a read twice', { reads: times(2, [0, ERROR]) }, 'reads field error of data source exec twice'],
    [
      'sources',
      { emits: times(17, { name: 'a', fields: [field()] }) },
      'makes 17 data sources, but at most 16',
    ],
    [
      'a source name',
      { emits: [{ name: '', fields: [field()] }] },
      'makes a data source "", which is not a name',
    ],
    [
      'a source that is there',
      { emits: [{ name: 'exec', fields: [field()] }] },
      'makes a data source "exec", which is there already',
    ],
    [
      'a source twice',
      { emits: times(2, { name: 'a', fields: [field()] }) },
      'a data source "a", which is there',
    ],
    ['no fields', { emits: [{ name: 'a', fields: [] }] }, 'makes a data source "a" without fields'],
    [
      'its fields',
      { emits: [{ name: 'a', fields: times(257, field()) }] },
      '"a" with 257 fields, but at most 256',
    ],
    ['its field twice', { emits: [{ name: 'a', fields: times(2, field()) }] }, '"a" with two fields "x"'],
    [
      'its kind',
      { emits: [{ name: 'a', fields: [field({ kind: 'none' })] }] },
      'with field "x" of kind none',
    ],
    ['ticks', { tickMs: 9 }, 'wants to be called every 9 ms, but it must be 0 for never, or from 10 to'],
    ['rare ticks', { tickMs: 0xffffffff }, 'every 4294967295 ms, but'],
  ])('is refused for %s', (_, plan, message) => {
    expect(() => check(plan)).toThrow(message);
    expect(() => check(plan)).toThrow(GuestError);
    expect(() => check(plan)).toThrow(/^the gadget's Wasm module /);
  });
});
