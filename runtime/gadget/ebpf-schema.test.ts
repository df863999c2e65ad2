import { describe, expect, it } from 'vitest';
import { Btf, type BtfMember, type BtfType } from '../../bpf/btf.js';
import { readEbpfSchema } from './ebpf-schema.js';

const VOID: BtfType = { kind: 'void', id: 0, name: '' };
const INT: BtfType = {
  ...{ kind: 'int', id: 1, name: 'int', sizeBytes: 4, bits: 32 },
  ...{ isSigned: true, isChar: false, isBool: false },
};
const ENUM: BtfType = { kind: 'enum', id: 2, name: 'small', sizeBytes: 1, isSigned: false, values: [] };
const LONG_DOUBLE: BtfType = { kind: 'float', id: 3, name: 'long double', sizeBytes: 16 };

/** What is read of a gadget whose events are a struct of 16 bytes with these members. */
function schemaOf(...members: BtfMember[]): ReturnType<typeof readEbpfSchema> {
  const struct: BtfType = { kind: 'struct', id: 4, name: 'event', sizeBytes: 16, members };
  const name = 'gadget_tracer_exec___events___event';
  const variable: BtfType = { kind: 'var', id: 5, name, target: 1, linkage: 'global' };
  const entries = [{ type: 5, offset: 0, sizeBytes: 8 }];
  const section: BtfType = { kind: 'datasec', id: 6, name: '.rodata', sizeBytes: 8, entries };
  return readEbpfSchema(new Btf([VOID, INT, ENUM, LONG_DOUBLE, struct, variable, section]));
}

function member(name: string, type: number, bitOffset: number): BtfMember {
  return { name, type, bitOffset, bitSize: 0 };
}

describe('the fields of an event', () => {
  it('are read with the size that they have', () => {
    const [tracer] = schemaOf(member('a', 2, 120), member('b', 3, 0)).tracers;
    expect(tracer!.fields).toMatchObject([
      { fullName: 'a', kind: 'uint8', offset: 15, size: 1 },
      { fullName: 'b', kind: 'bytes', offset: 0, size: 16 },
    ]);
  });

  it.each([
    ['begins behind the struct', member('a', 1, 128), 'the member a of struct event is not within it'],
    ['reaches behind the struct', member('a', 1, 120), 'the member a of struct event is not within it'],
    ['begins within a byte', member('a', 1, 4), 'the member a of struct event is not within it'],
    [
      'has a name of more than one line',
      member('a\nb', 1, 0),
      'struct event has a member that has no fit name',
    ],
  ])('are refused where one %s', (_, wrong, message) => {
    expect(() => schemaOf(wrong)).toThrow(message);
  });

  it('have different names', () => {
    const twice = (): unknown => schemaOf(member('a', 1, 0), member('a', 1, 32));
    expect(twice).toThrow('struct event has two members of one name');
  });
});
