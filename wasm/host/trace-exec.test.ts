// What trace_exec's Wasm module makes of execs; its quoting is checked against a real bash.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Batch, Span } from '../../runtime/data/batch.js';
import { DataSource } from '../../runtime/data/data-source.js';
import { locatorOf } from '../../runtime/data/field.js';
import { build } from '../sdk/assemblyscript/build.js';
import { type PreparedGuest, prepareComponent } from './component.js';
import { PostProcessor } from './post-processor.js';
import { batchOf, recordOf } from './testing.js';

vi.setConfig({ testTimeout: 60_000 }); // some run bash many times

let prepared: PreparedGuest;
let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ig-trace-exec-'));
  const program = fileURLToPath(new URL('../../gadgets/trace_exec/wasm/program.ts', import.meta.url));
  prepared = await prepareComponent(await build(program), { cacheDirs: [] });
}, 60_000);
afterAll(() => rmSync(directory, { recursive: true }));

interface Exec {
  readonly argv?: readonly (string | Uint8Array)[];
  /** Instead of argv: its bytes as the kernel side sends them. */
  readonly argvBytes?: Uint8Array;
  readonly filename?: string;
  readonly errorRaw?: number;
}

const ERROR_RAW = 0;
const ARGV = 8;
const FILENAME = 16;
const STRUCT_SIZE = 24;

function execSource(): DataSource {
  const source = new DataSource('exec', 'single', STRUCT_SIZE);
  source.addField({
    fullName: 'error_raw',
    kind: 'uint32',
    location: { in: 'record', offset: ERROR_RAW, size: 4 },
  });
  source.addField({ fullName: 'argv', kind: 'strings', location: { in: 'tail', offset: ARGV } });
  source.addField({ fullName: 'filename', kind: 'string', location: { in: 'tail', offset: FILENAME } });
  return source;
}

function execRecord({ argv = [], argvBytes, filename = '', errorRaw = 0 }: Exec): Uint8Array {
  const struct = Buffer.alloc(STRUCT_SIZE);
  struct.writeUInt32LE(errorRaw, ERROR_RAW);
  const words = argv.map((word) => Buffer.concat([Buffer.from(word), Buffer.of(0)]));
  return recordOf(struct, [
    [ARGV, argvBytes ?? Buffer.concat(words)],
    [FILENAME, Buffer.from(filename)],
  ]);
}

/** Runs the module; values of field `name` per exec, undefined where there is none. */
function valuesOf(
  name: string,
  execs: readonly Exec[],
  batch: Batch = batchOf(execs.map(execRecord)),
): Buffer[] {
  const source = execSource();
  new PostProcessor(prepared, [], [source]).process(0, batch);
  const locate = locatorOf(source.field(name)!);
  const span = new Span();
  return execs.map((_, row) => {
    expect(locate(batch, row, span)).toBe(true);
    return Buffer.from(span.bytes.subarray(span.start, span.end));
  });
}

const textOf = (name: string, exec: Exec): string => valuesOf(name, [exec])[0]!.toString();
const args = (...argv: string[]): string => textOf('args', { argv });

describe('args', () => {
  it('leaves plain words as they are', () => {
    expect(args('/bin/ls', '-la', '--color=auto', 'a_b.c,d:e@f%g+h', '10')).toBe(
      '/bin/ls -la --color=auto a_b.c,d:e@f%g+h 10',
    );
  });

  it('puts other words in single quotes', () => {
    expect(args('sh', '-c', 'while /bin/true; do whoami; done')).toBe(
      "sh -c 'while /bin/true; do whoami; done'",
    );
    expect(args('a', '', '$x', '*', '~', 'a\\b', 'größe')).toBe(`a '' '$x' '*' '~' 'a\\b' 'größe'`);
    expect(args('a', '$x', 'b', 'c', '', '*', 'd', '')).toBe(`a '$x' b c '' '*' d ''`);
    expect(args('*', 'b')).toBe(`'*' b`);
    expect(args()).toBe('');
    expect(args('a', "it's", "'")).toBe(`a 'it'\\''s' ''\\'''`);
  });

  it('quotes what would be an assignment or grammar in the first place only', () => {
    expect(args('A=b', 'A=b')).toBe("'A=b' A=b");
    expect(args('if', 'if')).toBe("'if' if");
    for (const word of execFileSync('bash', ['-c', 'compgen -k']).toString().trim().split('\n')) {
      const handler = `PATH=/none; command_not_found_handle() { printf '%s\\0' "$@"; }\n`;
      expect(runBash(Buffer.from(handler + args(word, word)), 'C')).toEqual([word, word]);
    }
  });

  it('escapes control characters, and bytes that are not UTF-8', () => {
    expect(args('a', 'b\nc\td\x1b[31m')).toBe("a $'b\\nc\\td\\e[31m'");
    expect(args('a', "it's\r\\ é")).toBe("a $'it\\'s\\x0d\\\\ é'");
    expect(args('a', '\x01\x7f\u0085')).toBe("a $'\\x01\\x7f\\xc2\\x85'");
    expect(textOf('args', { argv: ['a', Buffer.of(0xff, 0x41, 0xc3)] })).toBe("a $'\\xffA\\xc3'");
  });

  it('shows text direction marks, which would disguise what was run', () => {
    expect(args('a', 'b\u202ec')).toBe("a $'b\\xe2\\x80\\xaec'");
  });

  it('counts a last argument that was cut off', () => {
    expect(textOf('args', { argvBytes: Buffer.from('ls\0-la\0/et') })).toBe('ls -la /et');
  });

  it('is empty without arguments', () => {
    expect(args()).toBe('');
  });

  it('gives bash the same vector, whatever its bytes', () => {
    const execs = Array.from({ length: 20 }, () => ({ argv: Array.from({ length: 200 }, randomWord) }));
    valuesOf('args', execs).forEach((quoted, i) => {
      expect(vectorOf(quoted)).toEqual(execs[i]!.argv.map((word) => word.toString('latin1')));
    });
  });

  it('gives bash the same vector for every byte and every pair of an edge', () => {
    const edges = [0x1b, 0x27, 0x5c, 0x41, 0x7f, 0x80, 0xa0, 0xc2, 0xe2, 0xed, 0xf0, 0xf4, 0xff];
    const argv = Array.from({ length: 255 }, (_, byte) => Buffer.of(byte + 1));
    for (const a of edges)
      for (const b of edges) argv.push(Buffer.of(a, b), Buffer.of(a, b, 0x90, 0x80, 0x66));
    const [quoted] = valuesOf('args', [{ argv }]);
    expect(vectorOf(quoted!)).toEqual(argv.map((word) => word.toString('latin1')));
  });

  it('quotes a word of a long list as one of a short list, wherever it stands', () => {
    const words = Array.from({ length: 255 }, (_, byte) => Buffer.from([byte + 1]));
    words.push(Buffer.of(), Buffer.from('a=b'), Buffer.from('if'));
    const short = valuesOf(
      'args',
      words.map((word) => ({ argv: ['ls', word] })),
    ).map((quoted) => quoted.subarray('ls '.length));
    for (let before = 1; before < 34; before++) {
      const [first, last] = ['f'.repeat(before), 'l'.repeat(34 - before)];
      const long = valuesOf(
        'args',
        words.map((word) => ({ argv: [first, word, last] })),
      );
      long.forEach((quoted, i) => {
        expect(quoted.toString('latin1')).toBe(`${first} ${short[i]!.toString('latin1')} ${last}`);
      });
    }
    expect(args('', 'x'.repeat(20))).toBe(`'' ${'x'.repeat(20)}`);
    expect(args('x'.repeat(20), '')).toBe(`${'x'.repeat(20)} ''`);
    expect(args(`a=${'x'.repeat(20)}`, 'y')).toBe(`'a=${'x'.repeat(20)}' y`);
    expect(args('if', 'x'.repeat(20))).toBe(`'if' ${'x'.repeat(20)}`);
  });
});

let seed = 7;
function random(below: number): number {
  seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
  return (seed >> 8) % below;
}

/** Bytes without NUL; half of them from those that mean something to a shell or to UTF-8. */
function randomWord(): Buffer {
  const special = Buffer.from(`'"\\$\`!~*?[]{}()<>|&;#=% \n\t\x1bxé€😀\u0080\ud7ff`);
  return Buffer.from(
    Array.from({ length: random(12) }, () =>
      random(2) === 0 ? 1 + random(255) : special[random(special.length)]!,
    ),
  );
}

/** What bash makes of words behind a command, by character per byte; the same in both kinds of locale. */
function vectorOf(words: Buffer): string[] {
  const script = Buffer.concat([Buffer.from("printf '%s\\0' "), words]);
  const [utf8, ascii] = ['C.UTF-8', 'C'].map((locale) => runBash(script, locale));
  expect(utf8).toEqual(ascii);
  return utf8!;
}

function runBash(script: Buffer, locale: string): string[] {
  const path = join(directory, 'script');
  writeFileSync(path, script);
  const out = execFileSync('bash', [path], { env: { LC_ALL: locale } });
  return out.toString('latin1').split('\0').slice(0, -1);
}

describe('command', () => {
  it('is what was executed and the arguments after the first, as they are', () => {
    expect(textOf('command', { filename: '/bin/sh', argv: ['sh', '-c', 'a  b; c'] })).toBe(
      '/bin/sh -c a  b; c',
    );
    expect(textOf('command', { filename: '/bin/true', argv: ['true'] })).toBe('/bin/true');
  });

  it('starts with the first argument when the file name is not known', () => {
    expect(textOf('command', { argv: ['true', 'x'] })).toBe('true x');
  });

  it('is the file name alone without arguments', () => {
    expect(textOf('command', { filename: '/bin/true' })).toBe('/bin/true');
    expect(textOf('command', {})).toBe('');
  });
});

describe('error and ret', () => {
  it('name the error, and give it as the system call returns it', () => {
    const execs = [0, 2, 13, 41, 133, 134, 512].map((errorRaw) => ({ errorRaw }));
    expect(valuesOf('error', execs).map(String)).toEqual([
      '',
      'ENOENT',
      'EACCES',
      'error#41',
      'EHWPOISON',
      'error#134',
      'error#512',
    ]);
    expect(valuesOf('ret', execs).map((bytes) => bytes.readInt32LE())).toEqual([
      0, -2, -13, -41, -133, -134, -512,
    ]);
  });

  it('know every error of this kernel’s headers', () => {
    const macros = execFileSync('gcc', [
      '-E',
      '-dM',
      '-include',
      'errno.h',
      '-x',
      'c',
      '/dev/null',
    ]).toString();
    const names = [...macros.matchAll(/^#define (E\w+) (\d+)$/gm)].map(([, name, number]) => [
      name!,
      Number(number),
    ]);
    expect(names.length).toBeGreaterThan(130);
    const found = valuesOf(
      'error',
      names.map(([, errorRaw]) => ({ errorRaw: errorRaw as number })),
    );
    expect(found.map(String)).toEqual(names.map(([name]) => name));
  });
});

describe('the module', () => {
  it('takes a tail that lies outside its record for empty', () => {
    const record = Buffer.from(execRecord({ argv: ['a', 'b'], filename: '/x' }));
    record.writeUInt32LE(0xfffffff0, ARGV + 4);
    record.writeUInt32LE(5000, FILENAME);
    expect(valuesOf('command', [{}], batchOf([record]))[0]!.toString()).toBe('');
  });

  it('computes only what is read', () => {
    const source = execSource();
    const processor = new PostProcessor(prepared, [], [source]);
    processor.select([new Set([source.field('error')!])]);
    const batch = batchOf([execRecord({ argv: ['a'], errorRaw: 2 })]);
    processor.process(0, batch);
    const located = ['args', 'command', 'error', 'ret'].map((name) =>
      locatorOf(source.field(name)!)(batch, 0, new Span()),
    );
    expect(located).toEqual([false, false, true, false]);
  });

  it('refuses a gadget without the fields it reads', () => {
    const source = new DataSource('exec', 'single', 8);
    source.addField({ fullName: 'argv', kind: 'uint64', location: { in: 'record', offset: 0, size: 8 } });
    expect(() => new PostProcessor(prepared, [], [source])).toThrow(
      "the gadget's Wasm module failed in init: field argv of data source exec is u64, but the module reads it as text-list",
    );
    expect(() => new PostProcessor(prepared, [], [])).toThrow(
      /there is no data source exec, which the module needs/,
    );
  });

  it('keeps its memory over many batches', () => {
    const processor = new PostProcessor(prepared, [], [execSource()]);
    const argv = Array.from({ length: 100 }, (_, i) => `argument ${i} `.repeat(10));
    // More than 1 MiB of memory each, under a cap of 64 MiB.
    const batch = batchOf(Array.from({ length: 20 }, () => execRecord({ argv, filename: '/bin/true' })));
    for (let i = 0; i < 300; i++) processor.process(0, batch);
  });
});
