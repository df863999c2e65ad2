import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { type TestRow, testBatch, testSource, written } from './testing.js';
import { yamlOutput } from './yaml.js';

const FIELDS = [
  { name: 'proc.comm', kind: 'string' },
  { name: 'proc.parent.pid', kind: 'uint32', annotations: { 'value.undefined': '0' } },
  { name: 'args', kind: 'strings' },
] as const;

function yaml(rows: readonly TestRow[], type: 'single' | 'array' = 'single'): string {
  const source = testSource(FIELDS, type);
  return written(yamlOutput(source), testBatch(source, rows));
}

describe('yaml', () => {
  it('writes a document per event, with nested keys', () => {
    const text = yaml([{ 'proc.comm': 'sh', 'proc.parent.pid': 1, args: ['sh', '-c'] }, {}]);
    expect(text).toBe('---\nargs: [sh,"-c"]\nproc:\n  comm: sh\n  parent:\n    pid: 1\n--- {}\n');
    expect(parseAllDocuments(text).map((document) => document.toJS() as unknown)).toEqual([
      { args: ['sh', '-c'], proc: { comm: 'sh', parent: { pid: 1 } } },
      {},
    ]);
  });

  it('writes one list per batch of an array data source', () => {
    expect(parse(yaml([{ 'proc.comm': 'a', args: [] }, {}, { 'proc.parent.pid': 3 }], 'array'))).toEqual([
      { args: [], proc: { comm: 'a' } },
      {},
      { proc: { parent: { pid: 3 } } },
    ]);
    expect(parse(yaml([], 'array'))).toEqual([]);
  });

  it('keeps text text', () => {
    const tricky = [
      '',
      ' ',
      'true',
      'No',
      '~',
      'null',
      '0x1f',
      '1e3',
      '-',
      '- a',
      'a: b',
      'a #b',
      'a:',
      '*a',
      '!a',
      'a ',
    ]
      .concat([
        'a\nb',
        '"',
        "'",
        '{}',
        '[a',
        'a, b',
        '.inf',
        '2026-01-01',
        '---',
        '...',
        '@a',
        '`a',
        'é',
        '\u2028',
        '%a',
      ])
      .concat(['\u001b[0m', '\ufeffa', '=', '<<', 'a b/c', '/bin/sh -c x=1', '?a', 'y', '\ud83d\ude00']);
    for (const text of tricky) {
      for (const version of ['1.1', '1.2'] as const) {
        expect(parse(yaml([{ 'proc.comm': text, args: [text, text] }]), { version })).toEqual({
          args: [text, text],
          proc: { comm: text },
        });
      }
    }
  });

  it('writes 64-bit numbers and floats that read back', () => {
    const source = testSource([
      { name: 'a', kind: 'uint64' },
      { name: 'b', kind: 'float64' },
      { name: 'y', kind: 'float64' },
    ]);
    const text = written(
      yamlOutput(source),
      testBatch(source, [{ a: 2n ** 64n - 1n, b: 1e-7, y: -Infinity }]),
    );
    expect(parse(text, { intAsBigInt: true })).toEqual({ a: 2n ** 64n - 1n, b: 1e-7, y: -Infinity });
  });
});
