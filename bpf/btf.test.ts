import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findClang } from '../test/live/compile.js';
import { type Btf, parseBtf } from './btf.js';
import { BtfError } from './errors.js';

/** Writes BTF by hand: types of 32-bit words, names by their text. */
class BtfWriter {
  #strings = '\0';
  readonly #words: number[] = [];

  name(text: string): number {
    if (text === '') return 0;
    this.#strings += `${text}\0`;
    return this.#strings.length - text.length - 1;
  }

  type(name: string, kind: number, count: number, word: number, rest: number[] = [], flag = 0): this {
    this.#words.push(this.name(name), ((flag << 31) | (kind << 24) | count) >>> 0, word, ...rest);
    return this;
  }

  bytes(littleEndian = true): Uint8Array {
    const types = this.#words.length * 4;
    const view = new DataView(new ArrayBuffer(24 + types + this.#strings.length));
    view.setUint16(0, 0xeb9f, littleEndian);
    view.setUint8(2, 1);
    [24, 0, types, types, this.#strings.length].forEach((word, i) =>
      view.setUint32(4 + 4 * i, word, littleEndian),
    );
    this.#words.forEach((word, i) => view.setUint32(24 + 4 * i, word, littleEndian));
    const bytes = new Uint8Array(view.buffer);
    bytes.set(Buffer.from(this.#strings, 'latin1'), 24 + types);
    return bytes;
  }
}

const INT = 1;
const ARRAY = 3;
const TYPEDEF = 8;
const CONST = 10;

const SOURCE = `
typedef unsigned int u32;
typedef u32 gadget_mntns_id;
enum color { RED = 1, GREEN = -2 };
enum big : unsigned long { HUGE = 0x123456789abcdefUL };
struct inner { long long wide; };
struct event {
  gadget_mntns_id id;
  const volatile char comm[2][8];
  unsigned flags : 3, rest : 5;
  enum color color;
  struct { int anonymous; };
  union { struct inner *inner; void *any; };
  double ratio;
};
const volatile u32 pid = 5;
struct event event __attribute__((section(".data")));
enum big big;
int __attribute__((section("prog"))) run(struct event *ctx) { return ctx->id + big; }
`;

/** The .BTF section of SOURCE, as clang writes it. */
function compiled(): Uint8Array {
  const directory = mkdtempSync(join(tmpdir(), 'ig-btf-'));
  try {
    const source = join(directory, 'a.c');
    const object = join(directory, 'a.o');
    const section = join(directory, 'a.btf');
    writeFileSync(source, SOURCE);
    execFileSync(findClang(), ['-O2', '-g', '-target', 'bpf', '-Wno-everything', '-c', source, '-o', object]);
    execFileSync('objcopy', [
      '-I',
      'elf64-little',
      '-O',
      'binary',
      '--only-section=.BTF',
      '--set-section-flags',
      '.BTF=alloc',
      object,
      section,
    ]);
    return readFileSync(section);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const bytes = compiled();

/** Everything a user of a parsed BTF may ask. */
function walk(btf: Btf): void {
  for (const type of btf.types) {
    for (const ask of [(): unknown => btf.resolve(type.id), (): unknown => btf.sizeOf(type.id)]) {
      try {
        ask();
      } catch (error) {
        if (!(error instanceof BtfError)) throw error;
      }
    }
  }
}

function parsesOrRefuses(mutated: Uint8Array): void {
  try {
    walk(parseBtf(mutated));
  } catch (error) {
    if (!(error instanceof BtfError)) throw error;
  }
}

describe('parseBtf', () => {
  const btf = parseBtf(bytes);
  const event = btf.find('struct', 'event');
  const member = (name: string) => event?.members.find((m) => m.name === name);

  it('reads the members of a struct with their places', () => {
    expect(event?.sizeBytes).toBe(48);
    expect(member('comm')).toMatchObject({ bitOffset: 32, bitSize: 0 });
    expect(member('flags')).toMatchObject({ bitOffset: 160, bitSize: 3 });
    expect(member('rest')).toMatchObject({ bitOffset: 163, bitSize: 5 });
    expect(event?.members.filter((m) => m.name === '')).toHaveLength(2);
  });

  it('tells the typedefs it strips, outermost first', () => {
    const { type, typedefs } = btf.resolve(member('id')?.type ?? 0);
    expect(type).toMatchObject({ kind: 'int', sizeBytes: 4, bits: 32, isSigned: false });
    expect(typedefs).toEqual(['gadget_mntns_id', 'u32']);
  });

  it('knows sizes of arrays, pointers, enums and floats', () => {
    expect(btf.sizeOf(member('comm')?.type ?? 0)).toBe(16);
    expect(btf.sizeOf(member('color')?.type ?? 0)).toBe(4);
    expect(btf.sizeOf(member('ratio')?.type ?? 0)).toBe(8);
    expect(btf.sizeOf(btf.types.find((t) => t.kind === 'ptr')?.id ?? 0)).toBe(8);
    expect(() => btf.sizeOf(0)).toThrow(BtfError);
  });

  it('reads enum values, negative and of 64 bits', () => {
    expect(btf.find('enum', 'color')?.values).toEqual([
      { name: 'RED', value: 1n },
      { name: 'GREEN', value: -2n },
    ]);
    expect(btf.find('enum64', 'big')?.values).toEqual([{ name: 'HUGE', value: 0x123456789abcdefn }]);
  });

  it('lists global variables with their sections', () => {
    expect(btf.variables.map(({ name, section, linkage }) => ({ name, section, linkage }))).toEqual(
      expect.arrayContaining([
        { name: 'pid', section: '.rodata', linkage: 'global' },
        { name: 'event', section: '.data', linkage: 'global' },
      ]),
    );
    expect(btf.find('func', 'run')?.linkage).toBe('global');
  });

  it('reads the other byte order', () => {
    const big = new BtfWriter().type('int', INT, 0, 4, [(1 << 24) | 32]).bytes(false);
    expect(parseBtf(big).find('int', 'int')).toMatchObject({ sizeBytes: 4, bits: 32, isSigned: true });
  });

  it('refuses ids that do not exist', () => {
    expect(() => parseBtf(new BtfWriter().type('', CONST, 0, 2).bytes())).toThrow('type 2, which is missing');
  });

  it('refuses types that go in circles when asked for them', () => {
    const circles = new BtfWriter()
      .type('', CONST, 0, 2)
      .type('loop', TYPEDEF, 0, 1)
      .type('', ARRAY, 0, 0, [3, 3, 1])
      .type('i', INT, 0, 4, [32])
      .type('', ARRAY, 0, 0, [4, 4, 0xffffffff])
      .bytes();
    const loops = parseBtf(circles);
    expect(() => loops.resolve(1)).toThrow('refers to itself');
    expect(() => loops.sizeOf(3)).toThrow('contains itself');
    expect(() => loops.sizeOf(5)).toThrow('impossibly large');
  });

  it('refuses overlapping names, which would make a small file fill the memory', () => {
    const writer = new BtfWriter();
    const long = writer.name('x'.repeat(10_000));
    for (let i = 0; i < 1000; i++) writer.type('', TYPEDEF, 0, 0);
    const forged = writer.bytes();
    const view = new DataView(forged.buffer);
    for (let i = 0; i < 1000; i++) view.setUint32(24 + 12 * i, long + i, true);
    expect(() => parseBtf(forged)).toThrow('overlap');
  });

  it('refuses BTF cut off anywhere', () => {
    for (let length = 0; length < bytes.length; length++)
      expect(() => parseBtf(bytes.subarray(0, length))).toThrow(BtfError);
  });

  it('parses or refuses any changed byte or word', () => {
    for (let at = 0; at < bytes.length; at++) {
      for (const value of [0, 0x7f, 0xff, bytes[at]! ^ 1]) {
        const mutated = Uint8Array.from(bytes);
        mutated[at] = value;
        parsesOrRefuses(mutated);
      }
    }
    let seed = 42;
    const random = (limit: number): number => (seed = (seed * 1103515245 + 12345) % 2 ** 31) % limit;
    for (let round = 0; round < 3000; round++) {
      const mutated = Uint8Array.from(bytes);
      const view = new DataView(mutated.buffer);
      for (let n = 1 + random(8); n > 0; n--)
        view.setUint32(random(bytes.length - 3), random(2 ** 31) * 2 + random(2), true);
      parsesOrRefuses(mutated);
    }
  });
});
