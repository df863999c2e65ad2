// The account under every fault: what the kernel side emitted is delivered, filtered out or lost with a cause, to the
// last event. A gadget of our own counts in the kernel what it emits (bpf/calls.bpf.c); the program that makes the
// events counts them (programs/calls.c); and so do the lines that the reader of the output has.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, constants, mkdirSync, openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { ociArchitecture } from '../../oci/descriptor.js';
import { buildGadgetImage } from '../../oci/gadget-image.js';
import { Layout } from '../../oci/layout.js';
import { type GuestParts, componentOf, guestWat } from '../../wasm/host/testing.js';
import { type Account, Ig, type IgOptions, parseAccount, parseLines } from '../ig.js';
import { createTemporaryDirectory, removeDirectory } from '../registry/images.js';
import { until } from '../until.js';
import { compileFile } from './compile.js';
import { type Programs, buildPrograms, ended, runProgram } from './programs.js';

const COUNT = 100_000;
const PROCESSES = 2;
const PAGE_BYTES = 4096;
/** Runs at the same time; `IG_TEST_GADGETS=100` for the number of the issue, which takes 10 GB. */
const GADGETS = Number(process.env['IG_TEST_GADGETS'] ?? 6);
const HANG = '(loop $for_ever (br $for_ever)) (unreachable)';
const GADGET = new URL('bpf/calls.bpf.c', import.meta.url).pathname;

let directory: string;
let programs: Programs;
/** Images with a ring of 1 MiB, and with one of a page. */
let gadget: string;
let tight: string;

beforeAll(async () => {
  directory = createTemporaryDirectory();
  programs = buildPrograms();
  gadget = await buildGadget('calls', 1 << 20);
  tight = await buildGadget('tight', PAGE_BYTES);
});
afterAll(() => {
  programs.remove();
  removeDirectory(directory);
});

async function buildGadget(name: string, ringBytes: number): Promise<string> {
  const source = join(directory, `${name}.c`);
  const architecture = ociArchitecture();
  const target = architecture === 'amd64' ? 'x86' : architecture;
  writeFileSync(
    source,
    `#define RING_BYTES ${ringBytes}\n#define __TARGET_ARCH_${target}\n#include "${GADGET}"\n`,
  );
  const layout = join(directory, name);
  await buildGadgetImage(new Layout(layout), {
    ref: `${name}:v1`,
    metadata: Buffer.from(`name: ${name}\n`),
    platforms: [{ architecture, ebpf: compileFile(source) }],
  });
  return layout;
}

/** What was made, and what each gadget has seen of it. */
interface Made {
  readonly executed: number;
  readonly emitted: readonly number[];
}

/** A load that goes on until it is stopped. */
class Load {
  private readonly child: ChildProcess;

  constructor(gadgets: number, processes: number, count: number) {
    this.child = spawn(programs.calls, [gadgets, processes, count].map(String), {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    onTestFinished(() => void this.child.kill('SIGKILL'));
  }

  async stop(): Promise<Made> {
    const result = ended(this.child);
    this.child.stdin!.end();
    const { status, stdout } = await result;
    expect(status).toBe(0);
    const [executed, ...emitted] = stdout.trim().split(' ').map(Number);
    return { executed: executed!, emitted };
  }
}

/** Makes so many calls in each of `PROCESSES`, as fast as they can. All were seen by the gadgets that run. */
async function burst({ gadgets = 1, count = COUNT } = {}): Promise<Made> {
  const made = await new Load(gadgets, PROCESSES, count).stop();
  expect(made.executed).toBe(PROCESSES * count);
  return made;
}

interface Call {
  readonly pid: number;
  readonly number: number;
}

/** Two columns of the gadget's, which are short to print and to read. */
const COLUMNS = ['-o', 'columns', '--fields', 'proc.pid,number'];

/** Complete lines, without the header. */
function rows(stdout: string): Call[] {
  const [header, ...lines] = stdout
    .slice(0, stdout.lastIndexOf('\n') + 1)
    .split('\n')
    .slice(0, -1);
  expect(header ?? 'PROC.PID NUMBER').toMatch(/PID +NUMBER$/);
  return lines.map((line) => {
    const match = /^ *(\d+) +(\d+)$/.exec(line);
    if (match === null) throw new Error(`not a row: ${line}`);
    return { pid: Number(match[1]), number: Number(match[2]) };
  });
}

/** Events of each process come in their order, and once. */
function expectInOrder(calls: readonly Call[]): void {
  const last = new Map<number, number>();
  for (const { pid, number } of calls) {
    if (number <= (last.get(pid) ?? -1)) throw new Error(`call ${number} of ${pid} after ${last.get(pid)}`);
    last.set(pid, number);
  }
}

/** `emitted = delivered + filtered + lost`, and the reader has what is said to be delivered. */
function expectExact(calls: readonly Call[], stderr: string, emitted: number | undefined): Account {
  const account = parseAccount(stderr);
  const causes = [...account.causes.values()].reduce((sum, count) => sum + count, 0);
  expect({ ...account, delivered: calls.length, lost: causes }).toEqual(account);
  expect(account.delivered + account.filtered + account.lost, stderr).toBe(emitted);
  expectInOrder(calls);
  return account;
}

function start(more: readonly string[] = [], options: IgOptions & { image?: string } = {}): Promise<Ig> {
  return Ig.tracing(['run', options.image ?? gadget, '--host', ...COLUMNS, ...more], options);
}

/** The flag for a Wasm module. */
async function filter(name: string, parts: GuestParts): Promise<string[]> {
  const path = join(directory, `${name}.wasm`);
  writeFileSync(path, await componentOf(guestWat({ memory: '64', ...parts })));
  return ['--wasm', path];
}

/** Keeps transpiled modules out of this machine's cache. */
const PRIVATELY: IgOptions = {
  inside: ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /var/lib && exec "$@"', 'sh'],
};

/** The reader of a pipe that a run writes to. */
class Reader {
  readonly writer: number;
  text = '';
  private readonly reader: number;
  private readonly bytes = Buffer.alloc(1 << 20);

  constructor() {
    const path = join(directory, `fifo-${Math.random()}`);
    execFileSync('mkfifo', [path]);
    this.reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    this.writer = openSync(path, constants.O_WRONLY);
  }

  /** Reads what there is, up to so many bytes; how many there were, 0 at the end as well. */
  read(most = this.bytes.length): number {
    try {
      const count = readSync(this.reader, this.bytes, 0, most, null);
      this.text += this.bytes.toString('latin1', 0, count);
      return count;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return 0;
      throw error;
    }
  }

  readAll(): void {
    while (this.read() > 0) continue;
  }

  close(): void {
    closeSync(this.reader);
  }
}

async function startInto(reader: Reader, more: readonly string[] = []): Promise<Ig> {
  const ig = await start(more, { stdout: reader.writer });
  closeSync(reader.writer);
  return ig;
}

describe('a flat-out load', () => {
  it.each([
    ['1 MiB', (): string => gadget],
    ['one page', (): string => tight],
  ])('is delivered or counted with a ring of %s', async (_, image) => {
    const ig = await start([], { image: image() });
    const { emitted } = await burst();
    const { stdout, stderr } = await ig.stop();
    const { delivered } = expectExact(rows(stdout), stderr, PROCESSES * COUNT);
    expect(emitted).toEqual([PROCESSES * COUNT]);
    expect(delivered).toBeGreaterThan(0);
  });

  it('is delivered, filtered out or counted', async () => {
    const ig = await start(['-F', 'number>=50000']);
    await burst();
    const { stdout, stderr } = await ig.stop();
    const { filtered } = expectExact(rows(stdout), stderr, PROCESSES * COUNT);
    expect(filtered).toBeGreaterThan(0);
    expect(rows(stdout).filter(({ number }) => number < 50_000)).toEqual([]);
  });

  it('is counted without what is filtered out in the kernel', async () => {
    const ig = await start(['--comm', 'nobody']);
    const { emitted } = await burst({ count: 1000 });
    const { stdout, stderr } = await ig.stop();
    expect(emitted).toEqual([0]);
    expectExact(rows(stdout), stderr, 0);
  });

  it('of new mount namespaces, which nobody has a name for, is held back, dropped or counted', async () => {
    const ig = await Ig.tracing(['run', gadget, '-c', 'nobody', ...COLUMNS]);
    const { stdout: made } = await runProgram('unshare', ['-m', programs.calls, '1', '2', '5000']);
    const { stdout, stderr } = await ig.stop();
    expectExact(rows(stdout), stderr, Number(made.split(' ')[1]));
  });

  it.each(['SIGINT', '--timeout'])('that goes on at the end, by %s, is counted', async (end) => {
    const ig = await start(end === '--timeout' ? ['--timeout', '2'] : []);
    const load = new Load(1, PROCESSES, 0);
    const { stdout, stderr } = end === '--timeout' ? await ig.end() : await sleep(500).then(() => ig.stop());
    const { executed, emitted } = await load.stop();
    expectExact(rows(stdout), stderr, emitted[0]);
    expect(executed).toBeGreaterThan(emitted[0]!);
  });

  it('is counted while others take the CPUs', async () => {
    const hogs = Array.from({ length: 6 }, () => spawn('sh', ['-c', 'while :; do :; done']));
    onTestFinished(() => hogs.forEach((hog) => hog.kill('SIGKILL')));
    const ig = await start();
    const load = new Load(1, PROCESSES, 0);
    await sleep(1000);
    const { stdout, stderr } = await ig.stop();
    const { emitted } = await load.stop();
    expectExact(rows(stdout), stderr, emitted[0]);
  });

  it(`is counted by each of ${GADGETS} runs at once`, { timeout: 600_000 }, async () => {
    const all: Ig[] = [];
    // In groups, which wait for each other: starting is what takes most.
    while (all.length < GADGETS) {
      const group = Math.min(4, GADGETS - all.length);
      all.push(...(await Promise.all(Array.from({ length: group }, () => start()))));
    }
    const { emitted } = await burst({ gadgets: GADGETS, count: 20_000 });
    expect(emitted).toEqual(all.map(() => PROCESSES * 20_000));
    for (const { stdout, stderr } of await Promise.all(all.map((ig) => ig.stop())))
      expectExact(rows(stdout), stderr, PROCESSES * 20_000);
  });
});

describe('a reader of the output', () => {
  it('that takes nothing until the run has ended has what is delivered', async () => {
    const reader = new Reader();
    const ig = await startInto(reader);
    await burst();
    const { stderr } = await ig.stop();
    reader.readAll();
    const { causes } = expectExact(rows(reader.text), stderr, PROCESSES * COUNT);
    expect(causes.get('output not read')).toBeGreaterThan(0);
    expect(causes.get('ring buffer full')).toBeGreaterThan(0);
    reader.close();
  });

  it('that is slow has what is delivered', async () => {
    const reader = new Reader();
    const ig = await startInto(reader);
    const slowly = setInterval(() => reader.read(PAGE_BYTES), 5);
    onTestFinished(() => clearInterval(slowly));
    const load = new Load(1, PROCESSES, 0);
    await sleep(1000);
    const { stderr } = await ig.stop();
    clearInterval(slowly);
    const { emitted } = await load.stop();
    reader.readAll();
    const { causes } = expectExact(rows(reader.text), stderr, emitted[0]);
    expect(causes.get('ring buffer full')).toBeGreaterThan(0);
    reader.close();
  });

  it.each([['columns'], ['json'], ['yaml']])(
    'that closes it has what is delivered, with -o %s',
    async (mode) => {
      const reader = new Reader();
      const ig = await startInto(reader, ['-o', mode]);
      const load = new Load(1, PROCESSES, 0);
      for (let count = 0; count < 300_000; count += reader.read(7777)) await sleep(1);
      reader.close();
      const { status, stderr } = await ig.end();
      const { emitted } = await load.stop();
      expect(status).toBe(0);
      const { lost } = expectExact(callsIn(mode, reader.text), stderr, emitted[0]);
      expect(lost).toBeGreaterThan(0);
    },
  );

  it('that is a disk with no room left has what is delivered', async () => {
    const disk = join(directory, 'disk');
    mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', disk]);
    onTestFinished(() => void execFileSync('umount', [disk]));
    const file = openSync(join(disk, 'file'), 'w+');
    const ig = await start([], { stdout: file });
    const load = new Load(1, PROCESSES, 0);
    const { status, stderr } = await ig.end();
    const { emitted } = await load.stop();
    const bytes = Buffer.alloc(1 << 17);
    const text = bytes.toString('latin1', 0, readSync(file, bytes, 0, bytes.length, 0));
    closeSync(file);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^Error: .*no space left/im);
    expectExact(rows(text), stderr, emitted[0]);
  });
});

/** The events in complete lines or documents. */
function callsIn(mode: string, text: string): Call[] {
  if (mode === 'columns') return rows(text);
  if (mode === 'json')
    return parseLines<{ proc: { pid: number }; number: number }>(
      text.slice(0, text.lastIndexOf('\n') + 1),
    ).map(({ proc, number }) => ({ pid: proc.pid, number }));
  const documents = text.replace(/\n-+$/, '\n').split('---\n').slice(1);
  // One that was cut lacks the last key, or the end of its line.
  const last = lastLine(documents[0] ?? '').split(' ')[0]!;
  return documents
    .filter((document) => document.endsWith('\n') && lastLine(document).startsWith(last))
    .map((document) => ({
      pid: Number(/^ {2}pid: (\d+)$/m.exec(document)?.[1]),
      number: Number(/^number: (\d+)$/m.exec(document)?.[1]),
    }));
}

function lastLine(text: string): string {
  return text.trimEnd().split('\n').at(-1)!;
}

describe('a run', () => {
  it('that is suspended under load counts what did not fit, and blames no module for the time', async () => {
    // Some 20 ms for each batch: it is most likely in there when it is suspended.
    const spin = `(loop $spin (local.set $k (i64.add (local.get $k) (i64.const 1)))
      (br_if $spin (i64.lt_u (local.get $k) (i64.const 20000000)))) (global.get $ok)`;
    const ig = await start(await filter('slow', { process: spin }), PRIVATELY);
    const load = new Load(1, PROCESSES, 0);
    await sleep(500);
    process.kill(ig.pid, 'SIGSTOP');
    await sleep(10_000);
    process.kill(ig.pid, 'SIGCONT');
    await sleep(300);
    const { stdout, stderr } = await ig.stop();
    const { emitted } = await load.stop();
    const { causes } = expectExact(rows(stdout), stderr, emitted[0]);
    expect(causes.get('ring buffer full')).toBeGreaterThan(0);
    expect(stderr).not.toContain('Warning: filter slow');
  });

  it('whose worker is ended in a batch counts the batch', async () => {
    const flags = [...(await filter('hangs', { process: HANG })), '--wasm-timeout', '300'];
    const ig = await start(flags, PRIVATELY);
    const load = new Load(1, PROCESSES, 0);
    await ig.until(() => ig.stderr.includes('; events go on without the module\n'));
    await until(() => ig.stdout.length > 100_000, 'events without the module');
    const { stdout, stderr } = await ig.stop();
    const { emitted } = await load.stop();
    const { causes } = expectExact(rows(stdout), stderr, emitted[0]);
    expect(causes.get('Wasm module failed')).toBeGreaterThan(0);
  });

  it('whose module hangs when it ends counts the batch, and what was behind it', async () => {
    const ig = await start(await filter('hangs', { process: HANG }), PRIVATELY);
    const load = new Load(1, PROCESSES, 0);
    await sleep(500);
    const { stdout, stderr } = await ig.stop();
    const { emitted } = await load.stop();
    const { causes } = expectExact(rows(stdout), stderr, emitted[0]);
    expect(causes.get('Wasm module failed')).toBeGreaterThan(0);
    expect(causes.get('left over at the end')).toBeGreaterThan(0);
  });
});

it('trace_exec --exits accounts for the exec and the exit of every process', async () => {
  const count = 3000;
  const tiny = programs.tinyAs('ig-losses');
  const ig = await Ig.tracing([
    'run',
    'trace_exec',
    '--host',
    '--comm',
    'ig-losses',
    '--exits',
    '-o',
    'json',
  ]);
  await runProgram(programs.burst, [`${count}`, tiny]);
  const { stdout, stderr } = await ig.stop();
  const account = parseAccount(stderr);
  expect(parseLines(stdout)).toHaveLength(account.delivered);
  expect(account.delivered + account.lost).toBe(2 * count);
});
