import { describe, expect, it } from 'vitest';
import type { Batch } from '../data/batch.js';
import type { Locator } from '../data/field.js';
import { jsonOutput, jsonPrettyOutput } from './json.js';
import { testBatch, testSource, written } from './testing.js';

const PROCESS = [
  { name: 'zeta', kind: 'uint8' },
  { name: 'proc', kind: 'none' },
  { name: 'proc.comm', kind: 'cstring' },
  { name: 'proc.parent', kind: 'none' },
  { name: 'proc.parent.exe', kind: 'string' },
  { name: 'args', kind: 'strings' },
] as const;

function textJson(bytes: Uint8Array): string {
  const source = testSource([{ name: 't', kind: 'string' }]);
  return written(jsonOutput(source), testBatch(source, [{ t: bytes }]));
}

describe('json', () => {
  it('nests by dotted name, sorts keys and writes one line per event', () => {
    const source = testSource(PROCESS);
    const rows = [
      { zeta: 7, 'proc.comm': 'sh', 'proc.parent.exe': '/bin/sh', args: ['sh', '', 'a b'] },
      { zeta: 1 },
    ];
    expect(written(jsonOutput(source), testBatch(source, rows))).toBe(
      '{"args":["sh","","a b"],"proc":{"comm":"sh","parent":{"exe":"/bin/sh"}},"zeta":7}\n' +
        '{"proc":{"comm":""},"zeta":1}\n',
    );
  });

  it('has the fields that were chosen, or all with some more and some less', () => {
    const source = testSource([
      ...PROCESS,
      { name: 'twice', kind: 'uint8', annotations: { 'json.skip': 'true' } },
    ]);
    const batch = testBatch(source, [{ zeta: 7, 'proc.comm': 'sh', args: ['a'], twice: 14 }]);
    const chosen = (choice: string): string => written(jsonOutput(source, choice), batch);
    expect(chosen('zeta,comm')).toBe('{"proc":{"comm":"sh"},"zeta":7}\n');
    expect(chosen('twice')).toBe('{"twice":14}\n');
    expect(chosen('+twice,-args')).toBe('{"proc":{"comm":"sh"},"twice":14,"zeta":7}\n');
    expect(() => chosen('zetta')).toThrow(/no field zetta; did you mean zeta/);
    expect(
      jsonOutput(source, 'zeta')
        .usedFields()
        .map(({ fullName }) => fullName),
    ).toEqual(['zeta']);
  });

  it('asks once for fields that are undefined together', () => {
    const source = testSource([{ name: 'n', kind: 'uint8' }]);
    const batch = testBatch(source, [{ n: 0 }, { n: 1 }]);
    const exists = (of: Batch, row: number): boolean => of.bytes[of.offsets[row]!] === 1;
    const asked: string[] = [];
    for (const name of ['one', 'two']) {
      const locate: Locator = (of, row, span) => {
        asked.push(`${name} of ${row}`);
        span.set(of.bytes, of.view, of.offsets[row]!, of.offsets[row]! + 1);
        return true;
      };
      source.addField({
        fullName: `group.${name}`,
        kind: 'uint8',
        location: { in: 'derived', locate, exists },
      });
    }
    expect(written(jsonOutput(source), batch)).toBe('{"n":0}\n{"group":{"one":1,"two":1},"n":1}\n');
    expect(asked).toEqual(['one of 1', 'two of 1']);
  });

  it('leaves out undefined values and structs without any', () => {
    const source = testSource([
      { name: 'a', kind: 'uint32', annotations: { 'value.undefined': '4294967295' } },
      { name: 'b.c.d', kind: 'string' },
      { name: 'e', kind: 'string' },
    ]);
    const batch = testBatch(source, [{ a: 0xffff_ffff }, { a: 0xffff_ffff, e: 'x' }, { a: 1, 'b.c.d': 'y' }]);
    expect(written(jsonOutput(source), batch)).toBe('{}\n{"e":"x"}\n{"a":1,"b":{"c":{"d":"y"}}}\n');
  });

  it('knows the undefined value of every kind of integer', () => {
    const annotations = { 'value.undefined': '255' };
    const kinds = ['bool', 'int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64'] as const;
    const source = testSource(kinds.map((kind) => ({ name: kind, kind, annotations })));
    const rows = [254, 255, 256].map((value) => Object.fromEntries(kinds.map((kind) => [kind, value])));
    expect(written(jsonOutput(source), testBatch(source, rows))).toBe(
      '{"bool":true,"int16":254,"int32":254,"int64":254,"int8":-2,"uint16":254,"uint32":254,"uint64":254,"uint8":254}\n' +
        '{}\n' +
        '{"bool":false,"int16":256,"int32":256,"int64":256,"int8":0,"uint16":256,"uint32":256,"uint64":256,"uint8":0}\n',
    );
  });

  it('leaves out what is annotated json.skip, children included, but keeps hidden fields', () => {
    const source = testSource([
      { name: 'a', kind: 'none', annotations: { 'json.skip': 'true' } },
      { name: 'a.b', kind: 'uint8' },
      { name: 'ab', kind: 'uint8', hidden: true },
    ]);
    const output = jsonOutput(source);
    expect(written(output, testBatch(source, [{ 'a.b': 1, ab: 2 }]))).toBe('{"ab":2}\n');
    expect(output.usedFields().map((field) => field.fullName)).toEqual(['ab']);
  });

  it('writes every kind', () => {
    const source = testSource([
      { name: 'a', kind: 'bool' },
      { name: 'b', kind: 'int8' },
      { name: 'c', kind: 'int16' },
      { name: 'd', kind: 'int32' },
      { name: 'e', kind: 'int64' },
      { name: 'f', kind: 'uint16' },
      { name: 'g', kind: 'uint64' },
      { name: 'h', kind: 'float32' },
      { name: 'i', kind: 'float64' },
      { name: 'j', kind: 'bytes' },
      { name: 'k', kind: 'uint16', length: 3 },
      { name: 'l', kind: 'float64' },
    ]);
    const row = {
      a: true,
      b: -128,
      c: -32768,
      d: -2147483648,
      e: -(2n ** 63n),
      f: 65535,
      g: 2n ** 64n - 1n,
      h: 0.1,
      i: 1e-7,
      j: Uint8Array.of(0, 255),
      k: [1, 2, 65535],
      l: NaN,
    };
    expect(written(jsonOutput(source), testBatch(source, [row]))).toBe(
      '{"a":true,"b":-128,"c":-32768,"d":-2147483648,"e":-9223372036854775808,"f":65535,' +
        '"g":18446744073709551615,"h":0.1,"i":1e-7,"j":"00ff","k":[1,2,65535],"l":null}\n',
    );
  });

  it('writes 64-bit numbers exactly, whatever the one before them was', () => {
    const source = testSource([
      { name: 's', kind: 'int64' },
      { name: 'u', kind: 'uint64' },
    ]);
    const numbers = [0n, 2n ** 32n, 7n, 2n ** 32n + 7n, 7n, 7n, 2n ** 63n - 1n, 2n ** 31n, 10n ** 18n, 1n];
    const rows = numbers.map((number) => ({ s: -number, u: number * 2n }));
    const lines = numbers.map((number) => `{"s":${-number},"u":${number * 2n}}\n`);
    expect(written(jsonOutput(source), testBatch(source, rows))).toBe(lines.join(''));
  });

  it('writes kept rows only, in the order asked for, and counts them', () => {
    const source = testSource([{ name: 'n', kind: 'uint8' }]);
    const batch = testBatch(source, [{ n: 0 }, { n: 1 }, { n: 2 }]);
    batch.keep[1] = 0;
    expect(written(jsonOutput(source), batch)).toBe('{"n":0}\n{"n":2}\n');
    expect(written(jsonOutput(source), batch, Uint32Array.of(2, 1, 0))).toBe('{"n":2}\n{"n":0}\n');
  });

  it('escapes what could drive a terminal or break a line', () => {
    const hostile = '"\\\n\r\t\b\u001b[2J\u007f\u0080\u009b\u00a0\u2028\u2029\u202e\u2066\u200e\u061cé漢😀';
    expect(textJson(Buffer.from(hostile))).toBe(
      '{"t":"\\"\\\\\\n\\r\\t\\u0008\\u001b[2J\\u007f\\u0080\\u009b\u00a0\\u2028\\u2029\\u202e\\u2066\\u200e\\u061cé漢😀"}\n',
    );
  });

  it('escapes a character wherever it stands in a text', () => {
    for (let code = 0; code < 0x80; code++) {
      for (let at = 0; at < 9; at++) {
        const text = `${'~'.repeat(at)}${String.fromCharCode(code)}${' '.repeat(8 - at)}`;
        const inside = textJson(Buffer.from(text)).slice('{"t":"'.length, -'"}\n'.length);
        expect(JSON.parse(`"${inside}"`)).toBe(text);
        expect(inside).toMatch(/^[ -~]*$/);
      }
    }
  });

  it('replaces each byte that is not valid UTF-8', () => {
    const cases: [number[], string][] = [
      [[0x80], '�'],
      [[0xc3], '�'],
      [[0xc0, 0xaf], '��'],
      [[0xe0, 0x80, 0x80], '���'],
      [[0xed, 0xa0, 0x80], '���'],
      [[0xf4, 0x90, 0x80, 0x80], '����'],
      [[0xf0, 0x9f, 0x98, 0x41], '���A'],
      [[0xff, 0x41], '�A'],
    ];
    for (const [bytes, expected] of cases)
      expect(JSON.parse(textJson(Uint8Array.from(bytes)))).toEqual({ t: expected });
  });

  it('is valid and harmless for any bytes', () => {
    const random = generator(1);
    for (let i = 0; i < 500; i++) {
      const bytes = Uint8Array.from({ length: random() % 60 }, () => random());
      const line = textJson(bytes);
      const valid = Buffer.from(bytes).toString();
      expect((JSON.parse(line) as { t: string }).t.replaceAll('�', '')).toBe(valid.replaceAll('�', ''));
      expect(line.slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e]/);
    }
  });

  it('has names of fields drive no terminal', () => {
    const source = testSource([{ name: 'a\u009b\u202e.é\u007f', kind: 'uint8' }]);
    const text = written(jsonOutput(source), testBatch(source, [{ 'a\u009b\u202e.é\u007f': 1 }]));
    expect(text).toBe('{"a\\u009b\\u202e":{"é\\u007f":1}}\n');
  });

  it('escapes the names of fields', () => {
    const source = testSource([{ name: 'a"b', kind: 'uint8' }]);
    expect(written(jsonOutput(source), testBatch(source, [{ 'a"b': 1 }]))).toBe('{"a\\"b":1}\n');
  });
});

describe('json of an array data source', () => {
  const source = testSource([{ name: 'n', kind: 'uint8' }], 'array');

  it('is one array per batch', () => {
    expect(written(jsonOutput(source), testBatch(source, [{ n: 1 }, { n: 2 }]))).toBe('[{"n":1},{"n":2}]\n');
    expect(written(jsonOutput(source), testBatch(source, []))).toBe('[]\n');
  });

  it('is indented in jsonpretty', () => {
    expect(written(jsonPrettyOutput(source), testBatch(source, [{ n: 1 }, { n: 2 }]))).toBe(
      `${JSON.stringify([{ n: 1 }, { n: 2 }], undefined, 2)}\n`,
    );
  });
});

describe('jsonpretty', () => {
  it('indents like other tools do', () => {
    const source = testSource(PROCESS);
    const batch = testBatch(source, [{ zeta: 7, 'proc.comm': 'sh', 'proc.parent.exe': 'x' }]);
    expect(written(jsonPrettyOutput(source), batch)).toBe(
      `${JSON.stringify({ proc: { comm: 'sh', parent: { exe: 'x' } }, zeta: 7 }, undefined, 2)}\n`,
    );
  });
});

function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 16) & 0xff;
  };
}
