// What the AssemblyScript SDK says of mistakes, and what it does that the conformance suite does not ask for.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Batch, Span } from '../../../runtime/data/batch.js';
import { DataSource } from '../../../runtime/data/data-source.js';
import { locatorOf } from '../../../runtime/data/field.js';
import { prepareComponent } from '../../host/component.js';
import { PostProcessor } from '../../host/post-processor.js';
import { batchOf, recordOf } from '../../host/testing.js';
import { build } from './build.js';

let directory: string;
beforeAll(async () => (directory = await mkdtemp(join(tmpdir(), 'ig-as-'))));
afterAll(() => rm(directory, { recursive: true }));

function source(): DataSource {
  const source = new DataSource('requests', 'single', 24);
  source.addField({ fullName: 'pid', kind: 'uint32', location: { in: 'record', offset: 0, size: 4 } });
  source.addField({
    fullName: 'ports',
    kind: 'uint16',
    length: 2,
    location: { in: 'record', offset: 4, size: 4 },
  });
  source.addField({ fullName: 'argv', kind: 'strings', location: { in: 'tail', offset: 8 } });
  return source;
}

/** Builds a program of this text and starts it. */
async function started(text: string, to = source()): Promise<PostProcessor> {
  const program = join(directory, 'program.ts');
  await writeFile(program, text);
  return new PostProcessor(await prepareComponent(await build(program), { cacheDirs: [] }), [], [to]);
}

function read(source: DataSource, name: string, batch: Batch): string | undefined {
  const span = new Span();
  if (!locatorOf(source.field(name)!)(batch, 0, span)) return undefined;
  return Buffer.from(span.bytes.subarray(span.start, span.end)).toString();
}

describe('a program in AssemblyScript', () => {
  it.each([
    ["new Source('other')", 'there is no data source other, which the module needs; there are: requests'],
    [
      "new Source('*').u32('tid')",
      'field tid of data source requests does not exist, but the module needs it; did you mean pid?',
    ],
    [
      "new Source('requests').u64('pid').optional()",
      'field pid of data source requests is u32, but the module reads it as u64',
    ],
    [
      "new Source('requests').u16('ports')",
      'field ports of data source requests is u16[2], but the module reads it as u16',
    ],
    [
      "new Source('requests').text('argv')",
      'field argv of data source requests is text-list, but the module reads it as text or bytes',
    ],
  ])('with %s says what is wrong', async (text, message) => {
    await expect(started(`import { Source } from 'ig';\n${text};`)).rejects.toThrow(
      `the gadget's Wasm module failed in init: ${message}`,
    );
  });

  it('writes text of all sorts, and finds bytes', async () => {
    const requests = source();
    const processor = await started(
      `import { Source } from 'ig';
       const all = new Source('*');
       const argv = all.list('argv');
       const out = all.addText('out');
       all.onEvent(() => {
         argv.rewind();
         argv.next();
         const first = argv.current;
         out.integer(i64.MIN_VALUE);
         out.unsigned(u64.MAX_VALUE);
         out.text(' ü€😀 ');
         out.integer(first.indexOf(0x62));
         out.integer(first.lastIndexOf(0x62));
         out.integer(first.indexOf(0x7a));
         out.text(first.equals('abcbü€😀') && first.startsWith('abcbü') && !first.equals('abcb') ? '!' : '?');
         return true;
       });`,
      requests,
    );
    const batch = batchOf([recordOf(new Uint8Array(24), [[8, Buffer.from('abcbü€😀\0rest')]])]);
    processor.process(0, batch);
    expect(read(requests, 'out', batch)).toBe('-922337203685477580818446744073709551615 ü€😀 13-1!');
  });

  it('tells the user why it failed, and where', async () => {
    const processor = await started(
      `import { Source } from 'ig';
       const all = new Source('*');
       const pid = all.u32('pid');
       const numbers: u32[] = [];
       all.onEvent(() => {
         if (pid.value == 1) throw new Error('no rule for ü');
         return numbers[pid.value] == 0;
       });`,
    );
    const failing = (pid: number): (() => void) => {
      const record = Buffer.alloc(24);
      record.writeUInt32LE(pid);
      return () => processor.process(0, batchOf([record]));
    };
    expect(failing(1)).toThrow("the gadget's Wasm module failed in process: no rule for ü (program.ts:6)");
    expect(failing(2)).toThrow(/failed in process: Index out of range$/);
  });

  it('fails a batch that emits more than the host takes', async () => {
    const processor = await started(
      `import { NewSource, Source } from 'ig';
       const made = new NewSource('made');
       const n = made.addU32('n');
       const all = new Source('*');
       const pid = all.u32('pid');
       all.onEvent(() => {
         for (let i: u32 = 0; i < pid.value; i++) {
           n.value = i;
           made.emit();
         }
         return true;
       });`,
    );
    const request = (pid: number): Batch => {
      const record = Buffer.alloc(24);
      record.writeUInt32LE(pid);
      return batchOf([record]);
    };
    processor.process(0, request(65_535));
    const blocks = processor.takeMade().map(({ batch }) => batch);
    expect(blocks.map(({ count }) => count)).toEqual([...new Array<number>(31).fill(2048), 2047]);
    expect(blocks[31]!.columns[0]!.view.getUint32(4 * 2046, true)).toBe(65_534);
    expect(() => processor.process(0, request(65_536))).toThrow(
      'more than 65535 events were emitted at once to made',
    );
  });
});

describe('the build', () => {
  const example = fileURLToPath(new URL('examples/count.ts', import.meta.url));

  it('makes the same bytes from the same source', async () => {
    expect(Buffer.compare(await build(example), await build(example))).toBe(0);
  });

  it('shows the compiler’s message', async () => {
    await expect(build('/none/program.ts')).rejects.toThrow(/ERROR .*program/);
  });
});
