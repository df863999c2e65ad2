// What the SDK for Rust has beside what all have (wasm/sdk/conformance.test.ts): its build, and how programs fail.

import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DataSource } from '../../../runtime/data/data-source.js';
import { type PreparedGuest, prepareComponent } from '../../host/component.js';
import { PostProcessor } from '../../host/post-processor.js';
import { batchOf, recordOf } from '../../host/testing.js';
import { build } from './build.js';

const MEMORY_MAX_BYTES = 4 * 1024 * 1024;

/** Adds a field; fails in another way for each code. */
const PROGRAM = `
use ig::{Action, Column, Event, Field, Init, Output, Program, Result, Text};

struct Failing {
    code: Field<u32>,
    name: Field<Text>,
    again: Column<Text>,
    hoard: Vec<Vec<u8>>,
}

impl Program for Failing {
    fn init(init: &Init) -> Result<Self> {
        let source = init.source("*")?;
        Ok(Failing {
            code: source.field("code")?,
            name: source.field("name")?,
            again: source.add("again"),
            hoard: Vec::new(),
        })
    }

    fn event(&mut self, event: &mut Event, _out: &mut Output) -> Result<Action> {
        let code = event.get(self.code).unwrap_or_default();
        match code {
            1 => panic!("no rule for {}", code),
            2 => drop("x".parse::<u8>()?),
            3 => loop {
                self.hoard.push(vec![1; 1 << 20]);
            },
            _ => event.set(self.again, event.get(self.name)),
        }
        Ok(Action::Keep)
    }
}

ig::program!(Failing);
`;

let directory: string;
let prepared: PreparedGuest;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ig-rust-'));
  const component = await build(await written('program.rs', PROGRAM));
  prepared = await prepareComponent(component, { cacheDirs: [], memoryMaxBytes: MEMORY_MAX_BYTES });
});
afterAll(() => rm(directory, { recursive: true }));

/** A file below the tests' folder, with a program. */
async function written(name: string, program: string): Promise<string> {
  const path = join(directory, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, program);
  return path;
}

function sourceOf(nameKind: 'string' | 'uint64'): DataSource {
  const source = new DataSource('any', 'single', 16);
  source.addField({ fullName: 'code', kind: 'uint32', location: { in: 'record', offset: 0, size: 4 } });
  const location =
    nameKind === 'string'
      ? ({ in: 'tail', offset: 8 } as const)
      : ({ in: 'record', offset: 8, size: 8 } as const);
  source.addField({ fullName: 'name', kind: nameKind, location });
  return source;
}

function event(code: number, name: string): Uint8Array {
  const struct = Buffer.alloc(16);
  struct.writeUInt32LE(code, 0);
  return recordOf(struct, [[8, Buffer.from(name)]]);
}

describe('a Rust program', () => {
  it('becomes the same component wherever it stands, as the example of the README does', async () => {
    const readme = await readFile(new URL('README.md', import.meta.url), 'utf8');
    const [, example] = /```rust\n([^]*?)```/.exec(readme)!;
    const component = Buffer.from(await build(await written('example.rs', example!)));
    const other = await build(await written('elsewhere/in/a/folder/example.rs', example!));
    expect(component.equals(other)).toBe(true);
    expect(component.includes(directory)).toBe(false);
  });

  it.each([
    [1, 'no rule for 1 (program.rs:25)'],
    [2, 'invalid digit found in string'],
    [3, 'it needs more memory than it may have'],
  ])('tells the user why it failed (%i)', (code, reason) => {
    const processor = new PostProcessor(prepared, [], [sourceOf('string')]);
    const failing = batchOf([event(0, 'x'), event(code, 'y')]);
    expect(() => processor.process(0, failing)).toThrow(`module failed in process: ${reason}`);
    processor.process(0, batchOf([event(0, 'x')])); // goes on with a new instance
  });

  it('is told which field is missing, or of another kind', () => {
    const empty = new DataSource('any', 'single', 8);
    expect(() => new PostProcessor(prepared, [], [empty])).toThrow(
      'failed in init: field code of data source any does not exist, but the module needs it',
    );
    expect(() => new PostProcessor(prepared, [], [sourceOf('uint64')])).toThrow(
      'failed in init: field name of data source any is u64, but the module reads it as text',
    );
    expect(() => new PostProcessor(prepared, [], [])).toThrow('failed in init: there is no data source *');
  });

  it('takes no more memory after thousands of batches', () => {
    const source = sourceOf('string');
    const processor = new PostProcessor(prepared, [], [source]);
    const records = Array.from({ length: 100 }, (_, i) => event(0, `name ${i}`));
    // Together many times the memory it may have.
    for (let i = 0; i < 5000; i++) processor.process(0, batchOf(records));
  });

  it('that is none fails with what the compiler says', async () => {
    const program = await written('broken.rs', 'fn event() -> u32 { "text" }');
    await expect(build(program)).rejects.toThrow(/mismatched types\n.*broken\.rs:1:21/);
  });
});
