// What modules written in Go do beyond what all SDKs have in common: Go's runtime inside a component, and its build.

import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { DataSource } from '../../../runtime/data/data-source.js';
import { type PreparedGuest, prepareComponent } from '../../host/component.js';
import { PostProcessor } from '../../host/post-processor.js';
import { batchOf } from '../../host/testing.js';
import { build } from './build.js';

vi.setConfig({ testTimeout: 120_000 }); // the first build compiles Go's library
const BUILD = fileURLToPath(new URL('build.js', import.meta.url));
const hasGo = spawnSync('go', ['version']).status === 0;

/** What it does depends on the event's id. */
const PROGRAM = `package main

import (
	"fmt"
	"os"
	"time"

	"ig"
)

var kept [][]byte

func main() {
	source := ig.GetSource("*")
	id := source.Uint32("id")
	source.OnEvent(func() bool {
		switch id.Value() {
		case 1:
			kept[2] = nil
		case 2:
			panic(fmt.Errorf("no %s", "luck"))
		case 3: // leaves garbage
			kept = append(kept[:len(kept)%8], make([]byte, 64*1024))
		case 4:
			numbers := make(chan int)
			go func() { numbers <- 5 }()
			start := time.Now()
			time.Sleep(time.Hour)
			_, err := os.ReadFile("/etc/passwd")
			fmt.Println(<-numbers, time.Since(start) >= time.Hour, len(os.Args), err != nil)
			println("to stderr")
		case 5:
			<-make(chan int)
		case 6:
			for {
				kept = append(kept, make([]byte, 1<<20))
			}
		}
		return true
	})
}
`;
const LINE_OF_1 = PROGRAM.split('\n').findIndex((line) => line.includes('kept[2]')) + 1;

let folder: string;
beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'ig-go-test-')));
});
afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, text);
  return path;
}

function source(): DataSource {
  const made = new DataSource('events', 'single', 8);
  made.addField({ fullName: 'id', kind: 'uint32', location: { in: 'record', offset: 0, size: 4 } });
  return made;
}

function events(...ids: number[]): ReturnType<typeof batchOf> {
  return batchOf(
    ids.map((id) => {
      const record = Buffer.alloc(8);
      record.writeUInt32LE(id);
      return record;
    }),
  );
}

describe.runIf(hasGo)('a module in Go', () => {
  let prepared: PreparedGuest;
  beforeAll(async () => {
    prepared = await prepareComponent(await build(write('one/program.go', PROGRAM)), { cacheDirs: [] });
  }, 180_000);

  it('ends a batch by a panic, whose text and line the user sees, and goes on with the next', () => {
    const processor = new PostProcessor(prepared, [], [source()]);
    expect(() => processor.process(0, events(0, 1))).toThrow(
      `panic in program.go:${LINE_OF_1}: runtime error: index out of range [2] with length 0`,
    );
    expect(() => processor.process(0, events(2))).toThrow(/panic in program.go:\d+: no luck$/);
    const batch = events(0, 0);
    processor.process(0, batch);
    expect(batch.kept()).toBe(2);
    processor.finish();
  });

  it('needs no more memory after a gigabyte of garbage', () => {
    const processor = new PostProcessor(prepared, [], [source()]);
    const ids = new Array<number>(16).fill(3);
    for (let i = 0; i < 1000; i++) processor.process(0, events(...ids));
    processor.finish();
  });

  it('has goroutines, and a system without files where time passes at once; logs what it prints', () => {
    const lines: string[] = [];
    const log = (level: number, text: string): void => void lines.push(`${level} ${text}`);
    const processor = new PostProcessor(prepared, [], [source()], { logLevel: 2, log });
    processor.process(0, events(4));
    expect(lines).toEqual(['2 5 true 0 true', '2 to stderr']);
  });

  it.each([
    ['waits for nothing', 5],
    ['wants more memory than there is', 6],
  ])('loses its batch when it %s, and goes on with the next', (_what, id) => {
    const processor = new PostProcessor(prepared, [], [source()]);
    expect(() => processor.process(0, events(id))).toThrow("the gadget's Wasm module failed in process");
    processor.process(0, events(0));
  });

  it('names the field or source that is missing, or of another kind', async () => {
    const text =
      'package main\n\nimport "ig"\n\nfunc main() { ig.GetSource(ig.Param("source")).Text("id") }\n';
    const reader = await prepareComponent(await build(write('reader.go', text)), { cacheDirs: [] });
    const start = (params: [string, string][], sources: DataSource[]) => () =>
      new PostProcessor(reader, params, sources);
    expect(start([['source', 'open']], [source()])).toThrow(
      'there is no data source open, which the module needs; there are: events',
    );
    expect(start([['source', 'events']], [source()])).toThrow(
      'field id of data source events is u32, but the module reads it as text',
    );
    expect(start([['source', '*']], [new DataSource('events', 'single', 8)])).toThrow(
      'field id of data source events does not exist, but the module needs it',
    );
  });

  it('says that it looks for a field too early', async () => {
    const text =
      'package main\n\nimport "ig"\n\nfunc init() { ig.GetSource("*").Uint32("id") }\n\nfunc main() {}\n';
    const early = await prepareComponent(await build(write('early.go', text)), { cacheDirs: [] });
    expect(() => new PostProcessor(early, [], [source()])).toThrow(
      'the module calls ig.GetSource before main; call it in main',
    );
  });
});

describe.runIf(hasGo)('building Go', () => {
  it('gives the same bytes wherever the program is, as a file and as a folder', async () => {
    const text = 'package main\n\nimport "ig"\n\nfunc main() { ig.OnFinish(func() { println("end") }) }\n';
    const file = write('here/main.go', text);
    const other = join(folder, 'there/deeper/main.go');
    mkdirSync(join(other, '..'), { recursive: true });
    copyFileSync(file, other);
    const first = await build(file);
    expect(Buffer.from(await build(join(other, '..'))).equals(first)).toBe(true);
    expect(Buffer.from(first).includes(folder)).toBe(false);
  });

  it('takes a module of the author’s, with packages of its own', async () => {
    write('module/go.mod', 'module example.com/mine\n\ngo 1.24\n');
    write('module/text/text.go', 'package text\n\nconst Hello = "hello"\n');
    const text =
      'package main\n\nimport (\n\t"example.com/mine/text"\n\t"ig"\n)\n\nfunc main() { ig.Fail(text.Hello) }\n';
    write('module/main.go', text);
    const prepared = await prepareComponent(await build(join(folder, 'module')), { cacheDirs: [] });
    expect(() => new PostProcessor(prepared, [], [])).toThrow('failed in init: hello');
  });

  it('compiles the example of the README', async () => {
    const text = readFileSync(new URL('README.md', import.meta.url), 'utf8');
    const [, example = ''] = /```go\n([^]*?)```/.exec(text) ?? [];
    await build(write('readme.go', example));
  });

  it('shows what the compiler says, by file and line', async () => {
    const file = write('wrong.go', 'package main\n\nimport "ig"\n\nfunc main() { ig.GetSource(7) }\n');
    await expect(build(file)).rejects.toThrow(/^\.\/wrong\.go:5:\d+: cannot use 7 .* as string value/);
  });

  it('says what is not there', async () => {
    await expect(build(join(folder, 'none.go'))).rejects.toThrow(/^there is no program .*none\.go$/);
    await expect(build(write('program.txt', ''))).rejects.toThrow(/is no Go: its name must end in \.go$/);
  });
});

it('says which Go to get when there is none', () => {
  const program = fileURLToPath(new URL('examples/drop', import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, [BUILD, program, '/dev/null'], {
    env: { PATH: '/nonexistent' },
    encoding: 'utf8',
  });
  expect(stderr).toMatch(/^There is no Go compiler; get Go 1\.24 or newer: [^\n]*\n$/);
  expect(status).toBe(3);
});
