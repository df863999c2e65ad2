// What modules written in TypeScript and JavaScript do beyond what all SDKs have in common: QuickJS, and their build.

import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Batch, Span } from '../../../runtime/data/batch.js';
import { DataSource } from '../../../runtime/data/data-source.js';
import { locatorOf } from '../../../runtime/data/field.js';
import { type PreparedGuest, prepareComponent } from '../../host/component.js';
import { PostProcessor } from '../../host/post-processor.js';
import { batchOf, recordOf } from '../../host/testing.js';
import { build } from './build.js';

const SDK = fileURLToPath(new URL('.', import.meta.url));

/** What it does depends on the event's id. */
const PROGRAM = `import { NewSource, Source, fail, log, param } from 'ig';
import { fourth } from './lib/numbers.ts';

interface Tree {
  left: Tree;
}

const source = new Source('*');
const id = source.u32('id');
const text = source.text('text');
const copy = source.addText('copy');
const parts = source.addList('parts');
const made = new NewSource('made');
const number = made.addU32('number');
const kept: unknown[] = [];

source.onEvent(() => {
  switch (id.value) {
    case 1:
      return (JSON.parse('null') as Tree).left === undefined;
    case 2:
      throw new Error('no luck');
    case 3:
      fail(\`param has \${param('has')}\`);
    case fourth:
      for (let i = 0; i < 5000; i++) {
        number.value = i;
        made.emit();
      }
      break;
    case 5:
      return (function deeper(): boolean { return deeper(); })();
    case 6:
      for (;;) kept.push(new Uint8Array(1 << 20));
    case 7:
      log.info?.(new Date(0).toISOString());
      break;
    case 10:
      return Date.now() > 0;
    case 8:
      new Source('late');
  }
  copy.value = \`\${text.text}|\${text.startsWith('ä')}|\${text.equals('äb')}|\${text.size}\`;
  parts.value = text.text.split('/');
  return id.value !== 9;
});
`;
const LINE_OF_1 = PROGRAM.split('\n').findIndex((line) => line.includes('JSON.parse')) + 1;

let folder: string;
beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'ig-js-test-')));
});
afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, text);
  return path;
}

function source(): DataSource {
  const made = new DataSource('events', 'single', 16);
  made.addField({ fullName: 'id', kind: 'uint32', location: { in: 'record', offset: 0, size: 4 } });
  made.addField({ fullName: 'text', kind: 'string', location: { in: 'tail', offset: 8 } });
  return made;
}

function event(id: number, text: string | Uint8Array = ''): Uint8Array {
  const struct = Buffer.alloc(16);
  struct.writeUInt32LE(id);
  return recordOf(struct, [[8, Buffer.from(text)]]);
}

function read(from: DataSource, name: string, batch: Batch, row: number): Buffer | undefined {
  const span = new Span();
  if (!locatorOf(from.field(name)!)(batch, row, span)) return undefined;
  return Buffer.from(span.bytes.subarray(span.start, span.end));
}

async function prepare(path: string, memoryMaxBytes = 64 << 20): Promise<PreparedGuest> {
  return prepareComponent(await build(path), { cacheDirs: [], memoryMaxBytes });
}

describe('a module in TypeScript', () => {
  let prepared: PreparedGuest;
  beforeAll(async () => {
    write('one/lib/numbers.ts', "export { four as fourth } from './four.js';\n");
    write('one/lib/four.js', 'export const four = 4;\n');
    // A fraction of the memory there is, so that little garbage is much.
    prepared = await prepare(write('one/program.ts', PROGRAM), 8 << 20);
  });

  it('shows the text of what it throws; of a mistake its line as well; and goes on with the next batch', () => {
    const processor = new PostProcessor(prepared, [['has', 'this']], [source()]);
    const failing = (id: number) => () => processor.process(0, batchOf([event(0), event(id)]));
    expect(failing(1)).toThrow(
      new RegExp(`TypeError in program.ts:${LINE_OF_1}: cannot read property 'left' of null$`),
    );
    expect(failing(2)).toThrow(/failed in process: no luck$/);
    expect(failing(3)).toThrow(/failed in process: param has this$/);
    expect(failing(8)).toThrow(/: data source late must be called at the top level of the program, before/);
    const batch = batchOf([event(0), event(9)]);
    processor.process(0, batch);
    expect(batch.kept()).toBe(1);
    processor.finish();
  });

  it.each([
    ['recurses without end', 5],
    ['wants more memory than there is', 6],
  ])('loses its batch when it %s, and goes on with the next', (_what, id) => {
    const processor = new PostProcessor(prepared, [], [source()]);
    expect(() => processor.process(0, batchOf([event(id)]))).toThrow(
      "the gadget's Wasm module failed in process",
    );
    processor.process(0, batchOf([event(0)]));
  });

  it('has dates but no clock', () => {
    const lines: string[] = [];
    const log = (level: number, text: string): void => void lines.push(`${level} ${text}`);
    const processor = new PostProcessor(prepared, [], [source()], { logLevel: 2, log });
    processor.process(0, batchOf([event(7)]));
    expect(lines).toEqual(['2 1970-01-01T00:00:00.000Z']);
    expect(() => processor.process(0, batchOf([event(10)]))).toThrow(
      /: there is no clock; use the time of an event, or what onTick gives$/,
    );
  });

  it('reads and writes text of any script; what is no UTF-8 it reads as U+FFFD', () => {
    const events = source();
    const processor = new PostProcessor(prepared, [], [events]);
    const texts = ['plain', 'äb', 'ä/日本/🐝', Buffer.from([0x61, 0xff, 0x62]), '', 'a'.repeat(50_000)];
    // An odd character out at every place, of texts that begin and end anywhere in a word.
    const odd = Array.from({ length: 64 }, (_, i) => `${'a'.repeat(i % 8)}é${'b'.repeat(i >> 3)}`);
    for (const chosen of [texts, odd, texts.slice(0, 1), texts.slice(1, 2)]) {
      const batch = batchOf(chosen.map((text) => event(0, text)));
      processor.process(0, batch);
      chosen.forEach((value, row) => {
        const text = Buffer.from(value).toString();
        const [starts, equals] = [text.startsWith('ä'), text === 'äb'];
        expect(read(events, 'copy', batch, row)?.toString()).toBe(
          `${text}|${starts}|${equals}|${Buffer.from(value).length}`,
        );
        expect(read(events, 'parts', batch, row)?.toString()).toBe(`${text.replaceAll('/', '\0')}\0`);
      });
    }
  });

  it('emits more events at once than a batch can have', () => {
    const processor = new PostProcessor(prepared, [], [source()]);
    processor.process(0, batchOf([event(4)]));
    const made = processor.takeMade();
    expect(made.map(({ batch }) => batch.count)).toEqual([2048, 2048, 904]);
    const last = processor.madeSources[0]!;
    expect(read(last, 'number', made[2]!.batch, 903)?.readUInt32LE()).toBe(4999);
  });

  it('needs no more memory after hundreds of batches', () => {
    const processor = new PostProcessor(prepared, [], [source()]);
    const batch = Array.from({ length: 50 }, (_, i) => event(0, `some/text/of/event/${i}/ä`));
    for (let i = 0; i < 600; i++) processor.process(0, batchOf(batch));
    processor.finish();
  });
});

describe('a module in JavaScript', () => {
  it('names the field or source that is missing, or of another kind', async () => {
    const text = "import { Source, param } from 'ig';\nnew Source(param('source')).text('id');\n";
    const reader = await prepare(write('reader.js', text));
    const start = (name: string, sources: DataSource[]) => () =>
      new PostProcessor(reader, [['source', name]], sources);
    expect(start('open', [source()])).toThrow(
      'there is no data source open, which the module needs; there are: events',
    );
    expect(start('events', [source()])).toThrow(
      'field id of data source events is u32, but the module reads it as text',
    );
    expect(start('*', [new DataSource('events', 'single', 8)])).toThrow(
      'field id of data source events does not exist, but the module needs it',
    );
  });
});

describe('building TypeScript and JavaScript', () => {
  it('gives the same bytes wherever the program is', async () => {
    const first = await build(write('here/program.ts', "import { fail } from 'ig';\nfail('here');\n"));
    const second = await build(
      write('there/deeper/program.ts', "import { fail } from 'ig';\nfail('here');\n"),
    );
    expect(Buffer.from(first).equals(second)).toBe(true);
    expect(Buffer.from(first).includes(folder)).toBe(false);
  });

  it.each([
    [
      'an error of types',
      'a.ts',
      "const n: number = 'x';\n",
      /^a\.ts\(1,7\): error TS2322: Type 'string' is not/,
    ],
    [
      'an error of syntax',
      'b.js',
      'const = 1;\n',
      /^b\.js\(1,7\): error TS1134: Variable declaration expected/,
    ],
    [
      'an unknown method',
      'c.ts',
      "import { Source } from 'ig';\nnew Source('*').u128('x');\n",
      /^c\.ts\(2,17\): error/,
    ],
    ['a missing file', 'd.ts', "import './none';\n", /^d\.ts\(1,8\): error TS2882/],
    [
      'a module of Node.js',
      'e.js',
      "import fs from 'node:fs';\nfs.x();\n",
      /e\.js: cannot import node:fs; a program can/,
    ],
    [
      'too much',
      'f.js',
      `throw '${'x'.repeat(300_000)}';\n`,
      /^the program has 3\d+ bytes of JavaScript with the SDK, but/,
    ],
  ])('tells of %s', async (_what, name, text, message) => {
    await expect(build(write(name, text))).rejects.toThrow(message);
  });

  it('says that a program does not exist', async () => {
    await expect(build(join(folder, 'none.ts'))).rejects.toThrow(/File '.*none\.ts' not found/);
  });

  it('compiles the example of the README', async () => {
    const text = readFileSync(join(SDK, 'README.md'), 'utf8');
    const [, example = ''] = /```ts\n([^]*?)```/.exec(text) ?? [];
    await build(write('readme.ts', example));
  });

  describe('with ig as it is installed', () => {
    let installed: string;
    beforeAll(() => {
      installed = join(folder, 'ig');
      cpSync(SDK, join(installed, 'wasm/sdk/javascript'), { recursive: true });
      const repository = join(SDK, '../../..');
      cpSync(join(repository, 'package.json'), join(installed, 'package.json'));
      cpSync(
        join(repository, 'build/javascript-engine.wasm'),
        join(installed, 'wasm/sdk/javascript/engine.wasm'),
      );
    });

    const run = (path: string): ReturnType<typeof spawnSync> =>
      spawnSync(
        process.execPath,
        [
          join(installed, 'wasm/sdk/javascript/build.js'),
          join(SDK, 'examples/drop.ts'),
          join(folder, 'out.wasm'),
        ],
        { env: { PATH: path }, encoding: 'utf8' },
      );

    it('says which TypeScript to get when there is none', () => {
      const { status, stderr } = run('/nonexistent');
      expect(stderr).toMatch(
        /^There is no TypeScript compiler of version 5 or 6; get it with: npm install -g typescript@\d+\.\d+\.\d+\n$/,
      );
      expect(status).toBe(3);
    });

    it('takes the TypeScript in PATH', async () => {
      const bin = join(folder, 'bin');
      mkdirSync(bin);
      symlinkSync(createRequire(import.meta.url).resolve('typescript/bin/tsc'), join(bin, 'tsc'));
      expect(run(`/nonexistent:${bin}`)).toMatchObject({ status: 0, stderr: '' });
      const built = await build(join(SDK, 'examples/drop.ts'));
      expect(readFileSync(join(folder, 'out.wasm')).equals(built)).toBe(true);
    });
  });
});
