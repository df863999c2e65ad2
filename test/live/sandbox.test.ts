// Hostile Wasm modules in `ig` as built: the user is told in a sentence, tracing goes on, the account adds up, memory
// stays small, and Ctrl-C works. A gadget's own module that traps, hangs or eats memory in `process`, and one that hangs
// in `init`, are in bad-input.test.ts; the peer's modules in peer-wasm.test.ts; what needs no kernel is in
// wasm/host/sandbox.test.ts.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { parse } from '@bytecodealliance/jco-transpile/wasm-tools';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeU32 } from '../../wasm/host/binary.js';
import { type GuestParts, componentOf, dataWat, guestWat } from '../../wasm/host/testing.js';
import { Ig, type IgOptions, parseAccount, runIg } from '../ig.js';
import { createTemporaryDirectory, removeDirectory, temporaryDirectory } from '../registry/images.js';
import { until } from '../until.js';

/** A user without a name: events of it alone keep the rest of the machine out. */
const UID = 61_384;
const MAX_RSS_MIB = 400;
const HANG = '(loop $for_ever (br $for_ever)) (unreachable)';

/** Keeps transpiled modules out of this machine's cache. */
const PRIVATELY: IgOptions = {
  inside: ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /var/lib && exec "$@"', 'sh'],
};

let directory: string;
let generator: ChildProcess;

beforeAll(() => {
  directory = createTemporaryDirectory();
  generator = spawn('sh', ['-c', 'while :; do /bin/true; sleep 0.02; done'], { uid: UID, stdio: 'ignore' });
});
afterAll(async () => {
  generator.kill('SIGKILL');
  await once(generator, 'exit');
  removeDirectory(directory);
});

/** Puts a module into a file; returns its flags. */
function filter(name: string, bytes: Uint8Array): string[] {
  const path = join(directory, `${name}.wasm`);
  writeFileSync(path, bytes);
  return ['--wasm', path];
}

async function guest(name: string, parts: GuestParts): Promise<string[]> {
  return filter(name, await componentOf(guestWat(parts)));
}

function runOf(flags: readonly string[], uid = UID): string[] {
  return ['run', 'trace_exec', '--host', '--uid', String(uid), '-o', 'json', ...flags];
}

/** Ends a run by Ctrl-C: all that was printed is accounted for. */
async function endOf(ig: Ig): Promise<{ stderr: string; lost: number; peakMiB: number }> {
  const peakMiB = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${ig.pid}/status`, 'utf8'))![1]) / 1024;
  const { status, stdout, stderr } = await ig.stop();
  expect(status, stderr).toBe(0);
  expect(stderr).not.toMatch(/\n\s+at |node:internal|FATAL/);
  expect(peakMiB).toBeLessThan(MAX_RSS_MIB);
  const { delivered, lost, causes } = parseAccount(stderr);
  expect(stdout.split('\n').length - 1).toBe(delivered);
  expect([...causes.values()].reduce((sum, count) => sum + count, 0)).toBe(lost);
  return { stderr, lost: causes.get('Wasm module failed') ?? 0, peakMiB };
}

/** Events come from now on. */
async function goesOn(ig: Ig): Promise<void> {
  const before = ig.events().length;
  await ig.until(() => ig.events().length > before, 'more events');
}

const withoutModule = (ig: Ig): boolean => ig.stderr.includes('; events go on without the module\n');

describe('a filter', { timeout: 120_000 }, () => {
  it.each<[string, GuestParts]>([
    ['as it is called without an event', { init: '(i32.const 1024)', more: planOf({ tickMs: 10 }), tick: HANG }],
    ['as it is given a batch', { more: '(global $ready (mut i32) (i32.const 0))', select: '(global.set $ready (i32.const 1))', realloc: `(if (global.get $ready) (then ${HANG}))` }],
    ['after its patch was read', { more: `(func (export "cabi_post_$I#process") (param i32) ${HANG})` }],
    ['in a wait that nobody ends', { process: '(drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))) (global.get $ok)' }],
  ])('that hangs %s is left out after three times', async (_, parts) => {
    const ig = await Ig.tracing(runOf([...(await guest('hangs', parts)), '--wasm-timeout', '300']), PRIVATELY);
    await ig.until(() => withoutModule(ig));
    await goesOn(ig);
    const { stderr } = await endOf(ig);
    expect(stderr.match(/^Warning: filter hangs took longer than 300 ms for a batch and was stopped; .*$/gm)).toHaveLength(3);
  }); // prettier-ignore

  it('that hangs at the end is stopped, and named', async () => {
    const flags = [...(await guest('lingers', { finish: HANG })), '--wasm-timeout', '300'];
    const ig = await Ig.tracing(runOf(flags), PRIVATELY);
    await goesOn(ig);
    const { stderr } = await endOf(ig);
    expect(stderr).toMatch(
      /^Warning: filter lingers took longer than 300 ms when the run ended and was stopped/m,
    );
  });

  it('that hangs while it starts is named, and can be interrupted', async () => {
    const flags = await guest('starts', { more: `(func $s ${HANG}) (start $s)` });
    const ig = Ig.start(runOf(flags), PRIVATELY);
    const interrupted = Ig.start(runOf(flags), PRIVATELY);
    await sleep(3000);
    expect((await interrupted.stop()).stderr).toBe('');
    const { status, stderr } = await ig.end();
    expect(stderr).toBe('Error: filter starts did not start within 10 s; it may hang\n');
    expect(status).toBe(1);
  });

  it('that hangs does not keep others from working', async () => {
    const mark = await guest('marks', {
      init: '(i32.const 1024)',
      more: `${planOf({ field: 'mark' })} ${dataWat(4096, 1, 0, 0, 1, 0, 0, 40, 0, 0)}`,
      process: `(i32.store (i32.const 4100) (local.get $count))
        (i32.store (i32.const 4124) (i32.mul (local.get $count) (i32.const 4)))
        (call $result (i32.const 0) (i32.const 4096) (i32.add (i32.const 40) (i32.mul (local.get $count) (i32.const 4))))`,
    });
    const flags = [
      ...(await guest('one', { process: HANG })),
      ...mark,
      ...(await guest('two', { process: HANG })),
    ];
    const ig = await Ig.tracing(runOf([...flags, '--wasm-timeout', '300']), PRIVATELY);
    await ig.until(() => ig.stderr.match(/; events go on without the module$/gm)?.length === 2);
    await goesOn(ig);
    expect(ig.events().at(-1)).toMatchObject({ mark: 0 });
    const { stderr, lost } = await endOf(ig);
    for (const name of ['one', 'two'])
      expect(stderr.match(new RegExp(`^Warning: filter ${name} took longer`, 'gm'))).toHaveLength(3);
    expect(stderr).not.toContain('filter marks');
    expect(lost).toBeGreaterThanOrEqual(6);
  });

  it('that does not start a second time is left out, and its fields stay', async () => {
    // From 12 seconds on from now, it traps in gadgetInit.
    const untilNs = BigInt(Date.now() + 12_000) * 1_000_000n;
    const wat = `(module
      (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
      (import "ig" "getDataSource" (func $source (param i64) (result i32)))
      (import "ig" "dataSourceAddField" (func $add (param i32 i64 i32) (result i32)))
      (import "ig" "dataSourceSubscribe" (func $subscribe (param i32 i32 i32 i64) (result i32)))
      (memory (export "memory") 1) (data (i32.const 16) "exec") (data (i32.const 32) "later")
      (func $isLate (result i32)
        (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 0)))
        (i64.gt_u (i64.load (i32.const 0)) (i64.const ${untilNs})))
      (func (export "gadgetAPIVersion") (result i64) (i64.const 1))
      (func (export "gadgetInit") (result i32) (local $exec i32)
        (if (call $isLate) (then unreachable))
        (local.set $exec (call $source (i64.const ${(4n << 32n) | 16n})))
        (drop (call $add (local.get $exec) (i64.const ${(5n << 32n) | 32n}) (i32.const 6)))
        (drop (call $subscribe (local.get $exec) (i32.const 1) (i32.const 0) (i64.const 1)))
        (i32.const 0))
      (func (export "dataSourceCallback") (param i64 i32 i32) (if (call $isLate) (then ${HANG}))))`;
    const flags = [...filter('fickle', await parse(wat)), '--wasm-timeout', '300'];
    const ig = await Ig.tracing(runOf([...flags, '-F', 'later!=7']), PRIVATELY);
    await ig.until(() => withoutModule(ig));
    await goesOn(ig);
    const { stderr } = await endOf(ig);
    expect(stderr).toMatch(
      /^Warning: filter fickle failed in gadgetInit: unreachable; events go on without the module$/m,
    );
    expect(stderr.match(/took longer/g)).toHaveLength(1);
  });

  it('that fails every other batch keeps its memory and its warnings small', async () => {
    const flags = await guest('flaky', {
      memory: '1000',
      more: '(global $calls (mut i32) (i32.const 0))',
      process: `(memory.fill (i32.const 131072) (i32.const 1) (i32.const 65000000))
        (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (if (i32.gt_u (global.get $calls) (i32.const 1)) (then unreachable)) (global.get $ok)`,
    });
    const ig = await Ig.tracing(runOf(flags), PRIVATELY);
    await ig.until(() => ig.events().length > 60, 'some 60 failures');
    const { stderr, lost } = await endOf(ig);
    expect(stderr.match(/^Warning: filter flaky failed in process/gm)).toHaveLength(10);
    expect(stderr).toMatch(/; its batch is lost; more failures of it are counted, and not told$/m);
    expect(lost).toBeGreaterThan(10);
  });

  it('that returns as much as it can is refused its text and its patch', async () => {
    const flags = await guest('large', {
      memory: '1024',
      more: '(global $calls (mut i32) (i32.const 0))',
      process: `(memory.fill (i32.const 131072) (i32.const 200) (i32.const 66000000))
        (call $result (i32.and (local.get $count) (i32.const 1)) (i32.const 64) (i32.const 67000000))`,
    });
    const ig = await Ig.tracing(runOf(flags), PRIVATELY);
    await ig.until(() => withoutModule(ig));
    await goesOn(ig);
    const { stderr } = await endOf(ig);
    expect(
      stderr.match(/^Warning: filter large(: a patch has| failed in process: it returned more than).*$/gm),
    ).toHaveLength(3);
  });

  it('that takes long for every tick does not keep events waiting, nor Ctrl-C', async () => {
    const spin = `(loop $spin (local.set $k (i64.add (local.get $k) (i64.const 1)))
      (br_if $spin (i64.lt_u (local.get $k) (i64.const 100000000))))`;
    const parts = {
      init: '(i32.const 1024)',
      more: planOf({ tickMs: 10 }),
      tick: `${spin} (global.get $ok)`,
    };
    const ig = await Ig.tracing(runOf(await guest('ticks', parts)), PRIVATELY);
    await ig.until(() => ig.events().length > 50, 'events between ticks');
    const { lost } = await endOf(ig);
    expect(lost).toBe(0);
  });

  it('that emits without end takes little memory, and the kernel’s events still come', async () => {
    const flags = await guest('emits', { memory: '20', init: '(i32.const 1024)', ...emitting(32) });
    const nothing = openSync('/dev/null', 'w');
    const ig = await Ig.tracing(runOf(flags), { ...PRIVATELY, stdout: nothing });
    closeSync(nothing);
    await sleep(3000);
    const peakMiB = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${ig.pid}/status`, 'utf8'))![1]) / 1024;
    expect(peakMiB).toBeLessThan(MAX_RSS_MIB);
    const { status, stderr } = await ig.stop();
    expect(status).toBe(0);
    expect(parseAccount(stderr).delivered).toBeGreaterThan(65_536);
  });

  it('that is slow in a flood loses no event that is not counted', async () => {
    const spin = `(loop $spin (local.set $k (i64.add (local.get $k) (i64.const 1)))
      (br_if $spin (i64.lt_u (local.get $k) (i64.const 50000000))))`;
    const ig = await Ig.tracing(
      runOf(await guest('slow', { process: `${spin} (global.get $ok)` }), UID + 1),
      PRIVATELY,
    );
    const count = 2000;
    const flood = spawn('sh', ['-c', `i=0; while [ $i -lt ${count} ]; do /bin/true; i=$((i+1)); done`], {
      uid: UID + 1,
      stdio: 'ignore',
    });
    await once(flood, 'exit');
    const { stdout, stderr } = await ig.stop();
    const { delivered, lost } = parseAccount(stderr);
    expect(delivered).toBe(stdout.split('\n').length - 1);
    expect(delivered + lost).toBe(count + 1); // with that of sh
  });

  it('of 100 MiB runs, and a larger one is refused', async () => {
    const path = join(directory, 'heavy.wasm');
    const bytes = await componentOf(guestWat());
    const padding = 100 * 1024 * 1024 - bytes.length - 5;
    const section = Buffer.from([0, ...encodeU32(padding), 1, 0x78]);
    writeFileSync(path, Buffer.concat([bytes, section]));
    truncateSync(path, 100 * 1024 * 1024);
    const ig = await Ig.tracing(runOf(['--wasm', path]), PRIVATELY);
    await goesOn(ig);
    expect((await ig.stop()).status).toBe(0);
    truncateSync(path, 100 * 1024 * 1024 + 1);
    const { status, stderr } = await runIg(runOf(['--wasm', path]), PRIVATELY);
    expect(stderr).toMatch(
      /^Error: cannot read the Wasm module .*heavy\.wasm: it has 104857601 bytes, and at most .*\n$/,
    );
    expect(status).toBe(1);
  });

  it('whose translation takes long can be interrupted, and writes nothing anywhere', async () => {
    const more = Array.from(
      { length: 400 },
      (_, i) => `(func (export "$I#fn${i}") (param i32 i32) (result i32) (i32.const 64))`,
    );
    const wit = more.map((_, i) => `fn${i}: func(sources: list<source>) -> result<plan, string>;`).join('\n');
    const flags = filter('long', await componentOf(guestWat({ more: more.join('\n') }), wit));
    const cwd = temporaryDirectory();
    const ig = Ig.start(runOf(flags), { ...PRIVATELY, cwd });
    await sleep(1200);
    expect(await ig.stop()).toMatchObject({ stderr: '', stdout: '' });
    expect(readdirSync(cwd)).toEqual([]);
  });
});

describe('a worker', { timeout: 60_000 }, () => {
  it('that has no memory left in a module is replaced, and the module is told of', async () => {
    const built = new URL('../../dist/runtime/pipeline/', import.meta.url);
    const { Pipeline } = (await import(
      new URL('pipeline.js', built).href
    )) as typeof import('../../runtime/pipeline/pipeline.js');
    const control = new URL('control.js', built).href;
    // Stands for a module that finds a way to fill the heap.
    const worker = new Worker(
      `const { parentPort } = require('node:worker_threads');
       parentPort.once('message', async (config) => {
         const { Control } = await import(${JSON.stringify(control)});
         new Control(config.control).enterGuest(0);
         parentPort.postMessage({ type: 'ready', fields: [], settings: [], traces: [{ fields: [], sources: [], hidden: [] }] });
         const all = [];
         setInterval(() => { for (let i = 0; i < 1e5; i++) all.push({ i }); });
       });`,
      { eval: true, resourceLimits: { maxOldGenerationSizeMb: 16 } },
    );
    const warnings: string[] = [];
    const failures: Error[] = [];
    const pipeline = await Pipeline.start(
      {
        ...{ sources: [], rings: [], filters: [], maxEntries: -1, bootToEpochNs: 0n, guestBudgetMs: 2000 },
        output: { mode: 'none', fd: 1 },
        modules: [{ name: 'filter x', role: 'filter', guest: await prepared(), params: [], enabled: true }],
      },
      {
        warn: (sentence) => void warnings.push(sentence),
        failed: (error) => void failures.push(error),
        outputClosed: () => undefined,
        unknownMntns: () => undefined,
        catchUp: () => undefined,
      },
      worker,
    );
    await until(() => warnings.length > 0, 'a warning');
    await pipeline.stop();
    expect(warnings).toEqual([
      'filter x made ig take too much memory for a batch and was stopped; its batch is lost',
    ]);
    expect(failures).toEqual([]);
  });
});

async function prepared(): Promise<import('../../wasm/host/component.js').PreparedGuest> {
  const { prepareComponent } = await import('../../wasm/host/component.js');
  return prepareComponent(await componentOf(guestWat()), { cacheDirs: [] });
}

/** A plan at 1024: one u32 field, or none; no reads and no sources. */
function planOf({ tickMs = 0, field }: { tickMs?: number; field?: string }): string {
  if (field === undefined) return dataWat(1024, 0, 0, 0, 0, 0, 0, 0, tickMs);
  const name = `(data (i32.const 1100) "${field}")`;
  return `${dataWat(1024, 0, 1200, 1, 0, 0, 0, 0, tickMs)} ${name} ${dataWat(1200, 0, 1100, field.length, 8, 1, 0, 0, 0, 0)}`;
}

/** A plan at 1024 with a source of one u64, ticks of 10 ms, and ticks that emit so many blocks of 2048 events. */
function emitting(blocks: number): Pick<GuestParts, 'more' | 'tick'> {
  const PATCH = 131_072;
  const entries = Array.from({ length: blocks }, (_, i) => [0, 2048, 1024 + i * 16_384, 16_384, 0]).flat();
  return {
    more: `${dataWat(1024, 0, 0, 0, 0, 0, 1152, 1, 10)} (data (i32.const 1088) "alerts") (data (i32.const 1096) "n")
      ${dataWat(1104, 1096, 1, 9, 1, 0, 0, 0, 0)} ${dataWat(1152, 1088, 6, 1104, 1)}
      ${dataWat(PATCH, 1, 0, 0, 0, 24, 0, blocks, 0, ...entries)}`,
    tick: `(call $result (i32.const 0) (i32.const ${PATCH}) (i32.const ${1024 + blocks * 16_384}))`,
  };
}
