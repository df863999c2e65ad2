// What of the C SDK the conformance suite of all SDKs does not show: its build, its messages, its memory, its texts.

import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Batch, Span } from '../../../runtime/data/batch.js';
import { DataSource } from '../../../runtime/data/data-source.js';
import { locatorOf } from '../../../runtime/data/field.js';
import { type PreparedGuest, prepareComponent } from '../../host/component.js';
import { PostProcessor } from '../../host/post-processor.js';
import { batchOf, recordOf } from '../../host/testing.js';
import { build } from './build.js';

const SDK = fileURLToPath(new URL('.', import.meta.url));
const execute = promisify(execFile);

let folder: string;
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'ig-c-sdk-'))));
afterAll(() => rmSync(folder, { recursive: true }));

/** A file below the tests' folder, with a program. */
function written(name: string, program: string): string {
  const path = join(folder, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, program);
  return path;
}

/** Little, so that a module that lets it grow fails. */
const MEMORY_MAX_BYTES = 4 << 20;

/** A module of which `ig_init`, and what stands before it, are given. */
async function prepared(name: string, before: string, init: string): Promise<PreparedGuest> {
  const program = `#include <ig.h>\n${before}\nvoid ig_init(void) {\n${init}\n}\n`;
  const component = await build(written(name, program));
  return prepareComponent(component, { cacheDirs: [], memoryMaxBytes: MEMORY_MAX_BYTES });
}

/** The data source `any`: events with a number and a text. */
function anySource(): DataSource {
  const source = new DataSource('any', 'single', 16);
  source.addField({ fullName: 'number', kind: 'uint32', location: { in: 'record', offset: 0, size: 4 } });
  source.addField({ fullName: 'text', kind: 'string', location: { in: 'tail', offset: 8 } });
  return source;
}

function anyBatch(texts: readonly string[]): Batch {
  return batchOf(
    texts.map((text, number) => {
      const struct = Buffer.alloc(16);
      struct.writeUInt32LE(number);
      return recordOf(struct, [[8, Buffer.from(text)]]);
    }),
  );
}

function textOf(source: DataSource, name: string, batch: Batch, row: number): string | undefined {
  const span = new Span();
  if (!locatorOf(source.field(name)!)(batch, row, span)) return undefined;
  return Buffer.from(span.bytes.subarray(span.start, span.end)).toString();
}

describe('the build', () => {
  it('compiles the examples, also that of the README, without a warning, and the header as C++', async () => {
    const stderr = vi.spyOn(process.stderr, 'write');
    const everything = join(SDK, 'conformance.c');
    const inCpp = join(folder, 'conformance.cpp');
    copyFileSync(everything, inCpp);
    const examples = ['drop', 'add', 'count'].map((name) => join(SDK, `examples/${name}.c`));
    const [, readme] = /```c\n([^]*?)```/.exec(readFileSync(join(SDK, 'README.md'), 'utf8'))!;
    await Promise.all([...examples, everything, inCpp, written('readme.c', readme!)].map(build));
    expect(stderr.mock.calls.filter(([text]) => text !== '')).toEqual([]);
    stderr.mockRestore();
  });

  it('makes the same bytes of the same program in another folder', async () => {
    const program = `#include <ig.h>\nvoid ig_init(void) { ig_fail("%s and %s", __FILE__, __BASE_FILE__); }\n`;
    const first = await build(written('one/program.c', program));
    expect(await build(written('a-longer-name/two/program.c', program))).toEqual(first);
    expect(await build(join(folder, 'one'))).toEqual(first);
  });

  it('shows what the compiler and the linker say', async () => {
    const path = written('wrong.c', '#include <ig.h>\nvoid ig_init(void) { ig_fial("x"); }\n');
    await expect(build(path)).rejects.toThrow(`${path}:2:22: error: `);
    await expect(build(written('empty.c', '#include <ig.h>\n'))).rejects.toThrow('undefined symbol: ig_init');
    await expect(build(join(folder, 'none.c'))).rejects.toThrow(`there is no program ${folder}/none.c`);
    const notC = written('program.txt', '');
    await expect(build(notC)).rejects.toThrow(`${notC} is no C or C++: its name must end in .c or .cpp`);
  });

  it('names the packages to install when there is no compiler, or no linker', async () => {
    const run = (PATH: string): Promise<unknown> =>
      execute(
        process.execPath,
        [join(SDK, 'build.js'), join(SDK, 'examples/drop.c'), join(folder, 'out.wasm')],
        {
          env: { PATH },
        },
      );
    await expect(run('')).rejects.toMatchObject({
      code: 3,
      stderr:
        'There is no clang from version 14 on that makes WebAssembly; get it with: apt install clang lld\n',
    });
    const clang = written('bin/clang-15', '#!/bin/sh\necho 15.0.7\necho "  wasm32 - WebAssembly"\n');
    await execute('chmod', ['+x', clang]);
    await expect(run(join(folder, 'bin'))).rejects.toMatchObject({
      code: 3,
      stderr: `${clang} has no linker wasm-ld; get it with: apt install lld-15\n`,
    });
  });
});

describe('a program in C', () => {
  it('is told which field is missing, or of another kind', async () => {
    const module = await prepared(
      'missing.c',
      `static ig_source any, other;
       static ig_field_u32 number;
       static ig_field_list list;
       static bool on_event(void) { return true; }`,
      `ig_find_source(&any, "any", on_event);
       ig_bytes wrong = ig_param("wrong");
       if (ig_equals(wrong, ig_string("name")))
           ig_find_u32(&any, &number, "gone");
       if (ig_equals(wrong, ig_string("kind")))
           ig_find_list(&any, &list, "text");
       if (ig_equals(wrong, ig_string("source")))
           ig_find_source(&other, "other", on_event);
       if (ig_equals(wrong, ig_string("twice")))
           ig_find_source(&other, "*", on_event);`,
    );
    const sentenceFor = (wrong: string): string => {
      try {
        new PostProcessor(module, [['wrong', wrong]], [anySource()]);
        return '';
      } catch (error) {
        return (error as Error).message.replace("the gadget's Wasm module failed in init: ", '');
      }
    };
    expect(['nothing', 'name', 'kind', 'source', 'twice'].map(sentenceFor)).toEqual([
      '',
      'field gone of data source any does not exist, but the module needs it',
      'field text of data source any is text, but the module reads it as text-list',
      'there is no data source other, which the module needs; there are: any',
      'data source any is found twice; once is enough',
    ]);
  });

  it('tells the user what it was stopped for', async () => {
    const module = await prepared(
      'stopped.c',
      `static ig_source any;
       static ig_field_u32 number;
       static bool on_event(void) {
           switch (ig_get_u32(&number)) {
           case 0: ig_alloc(UINT32_MAX);
           case 1: for (;;) ig_alloc(100000);
           case 2: return ig_get_u32_at(&number, 1);
           }
           return true;
       }`,
      `ig_find_source(&any, "any", on_event); ig_find_u32(&any, &number, "number");`,
    );
    const processor = new PostProcessor(module, [], [anySource()]);
    const reasonFor = (number: number): string => {
      const batch = anyBatch(['', '', '', '']);
      batch.keep.fill(0);
      batch.keep[number] = 1;
      try {
        processor.process(0, batch);
        return '';
      } catch (error) {
        return (error as Error).message.replace("the gadget's Wasm module failed in process: ", '');
      }
    };
    expect([0, 1, 2, 3].map(reasonFor)).toEqual([
      'it needs more memory than it may have',
      'it needs more memory than it may have',
      'an array was read or written beyond its end',
      '',
    ]);
  });

  it('writes texts as printf does, of any length', async () => {
    const module = await prepared(
      'format.c',
      `static ig_source any;
       static ig_field_text text;
       static ig_column_text formatted, upper;
       static bool on_event(void) {
           ig_bytes value = ig_get_text(&text);
           for (uint32_t i = 0; i < value.size; i++)
               ig_append_byte(&upper, value.start[i] - 'a' + 'A');
           ig_append_format(&formatted, "%s|%.*s|%d %i|%u %x|%c|%%|%lld|%llu|%zu|", "abc", IG_TEXT(value), -5, 7,
                            4000000000u, 0xbeefu, 'c', INT64_MIN, UINT64_MAX, sizeof(value));
           ig_append_integer(&formatted, INT64_MIN);
           return value.size != 3;
       }`,
      `ig_find_source(&any, "*", on_event);
       ig_find_text(&any, &text, "text");
       ig_add_text(&any, &formatted, "formatted");
       ig_add_text(&any, &upper, "upper");`,
    );
    const source = anySource();
    const processor = new PostProcessor(module, [], [source]);
    const texts = Array.from({ length: 300 }, (_, i) => 'x'.repeat(i));
    const batch = anyBatch(texts);
    processor.process(0, batch);
    texts.forEach((text, row) => {
      const least = '-9223372036854775808';
      const formatted = `abc|${text}|-5 7|4000000000 beef|c|%|${least}|18446744073709551615|8|${least}`;
      expect(textOf(source, 'formatted', batch, row)).toBe(row === 3 ? undefined : formatted);
      expect(textOf(source, 'upper', batch, row)).toBe(
        row === 3 || row === 0 ? undefined : text.toUpperCase(),
      );
    });
  });

  it('emits more events than a batch can have', async () => {
    const module = await prepared(
      'emit.c',
      `static ig_source any, made;
       static ig_column_u32 number, odd;
       static ig_column_text text;
       static bool on_event(void) {
           for (uint32_t i = 0; i < 5000; i++) {
               ig_set_u32(&number, i);
               ig_append_unsigned(&text, i);
               if (i % 2 == 1)
                   ig_set_u32(&odd, i);
               ig_emit(&made);
           }
           return true;
       }`,
      `ig_find_source(&any, "any", on_event); ig_make_source(&made, "made");
       ig_add_u32(&made, &number, "number");
       ig_add_text(&made, &text, "text");
       ig_add_u32(&made, &odd, "odd");`,
    );
    const processor = new PostProcessor(module, [], [anySource()]);
    for (let round = 0; round < 3; round++) {
      processor.process(0, anyBatch(['']));
      const made = processor.takeMade();
      const [source] = processor.madeSources;
      const texts = made.flatMap(({ batch }) =>
        Array.from({ length: batch.count }, (_, row) => textOf(source!, 'text', batch, row)),
      );
      expect(texts).toEqual(Array.from({ length: 5000 }, (_, i) => `${i}`));
      expect(textOf(source!, 'odd', made[0]!.batch, 4)).toBeUndefined();
      expect(textOf(source!, 'odd', made[0]!.batch, 5)).toBe('\x05\0\0\0');
    }
  });

  it('runs in the same memory for ever', async () => {
    const module = await prepared(
      'memory.c',
      `static ig_source any, made;
       static ig_field_text text;
       static ig_column_text twice, copy;
       static void *block;
       static bool on_event(void) {
           ig_free(block);
           block = ig_alloc(ig_get_text(&text).size);
           ig_append(&twice, ig_get_text(&text));
           ig_append(&copy, ig_get_text(&text));
           ig_append(&twice, ig_get_text(&text));
           ig_emit(&made);
           return true;
       }`,
      `ig_find_source(&any, "any", on_event); ig_find_text(&any, &text, "text");
       ig_add_text(&any, &twice, "twice");
       ig_make_source(&made, "made");
       ig_add_text(&made, &copy, "copy");`,
    );
    const processor = new PostProcessor(module, [], [anySource()]);
    const manyTexts = (count: number, size: number): Batch =>
      anyBatch(Array.from({ length: count }, (_, i) => 'x'.repeat((i * 7) % size)));
    // A long text does not reserve as much for each of many short ones.
    for (const batch of [anyBatch(['x'.repeat(300_000)]), manyTexts(2000, 20)]) {
      processor.process(0, batch);
      processor.takeMade();
    }
    const batches = [1, 100, 3, 250].map((count) => manyTexts(count, 300));
    // Hundreds of megabytes: a module that runs out of memory traps.
    for (let i = 0; i < 10_000; i++) {
      processor.process(0, batches[i % batches.length]!);
      processor.takeMade();
    }
  });
});
