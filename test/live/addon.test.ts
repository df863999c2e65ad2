/** The native addon and its typed API against the running kernel: objects, hooks, maps, rings, output. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import {
  BpfError,
  BpfMap,
  InvalidTargetError,
  NotSupportedByKernelError,
  ObjectSpec,
  PermissionError,
  RingReader,
  UnsupportedAttachError,
  VerifierError,
  libbpfVersion,
  numPossibleCpus,
  parseBtf,
  writeSome,
  type BpfObject,
} from '../../bpf/index.js';
import { until } from '../until.js';
import { compileBpf } from './compile.js';

const hooks = compileBpf('hooks');
const ring = compileBpf('ring');
const PAGE = 4096;

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

function closing<T extends { close(): void }>(thing: T): T {
  closers.push(() => thing.close());
  return thing;
}

/** Loads only these programs of hooks.bpf.c. */
async function loadHooks(...names: string[]): Promise<BpfObject> {
  const spec = ObjectSpec.open(hooks, 'hooks');
  for (const { name } of spec.programs) spec.setAutoload(name, names.includes(name));
  return closing(await spec.load());
}

function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

function u64(value: bigint): Uint8Array {
  return new Uint8Array(BigUint64Array.of(value).buffer);
}

async function caught(action: () => unknown): Promise<unknown> {
  try {
    await action();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

/** Makes a system call that nothing else here makes. */
function getppid(): number {
  return process.ppid;
}

describe('an object spec', () => {
  it('lists programs and maps without the kernel', () => {
    const spec = closing(ObjectSpec.open(hooks, 'hooks'));
    expect(spec.programs).toContainEqual({
      name: 'on_raw_tp',
      section: 'raw_tp/sched_process_exec',
      type: 'raw_tracepoint',
      attachTo: 'sched_process_exec',
    });
    expect(spec.maps).toContainEqual({
      name: 'runs',
      type: 'percpu_array',
      keySize: 4,
      valueSize: 8,
      maxEntries: 16,
    });
  });

  it('places its variables by its BTF, and changes them before the load', async () => {
    const spec = ObjectSpec.open(hooks, 'hooks');
    for (const { name } of spec.programs) spec.setAutoload(name, name === 'on_tracepoint');
    const step = parseBtf(spec.btf).variables.find((variable) => variable.name === 'step');
    const other = parseBtf(spec.btf).variables.find((variable) => variable.name === 'other');
    expect(step).toMatchObject({ section: '.rodata', sizeBytes: 8 });
    const before = spec.initialValue('.rodata');
    expect(new DataView(before.buffer).getUint32(other?.offset ?? -1, true)).toBe(7);
    spec.setInitialValue('.rodata', step?.offset ?? -1, u64(1000n));
    const object = closing(await spec.load());
    object.program('on_tracepoint').attach();
    getppid();
    const runs = object.map('runs').sumPerCpuU64(u32(0));
    expect(runs).toBeGreaterThan(0n);
    expect(runs % 1000n).toBe(0n);
  });

  it('refuses to write outside a variable section', () => {
    const spec = closing(ObjectSpec.open(hooks, 'hooks'));
    expect(() => spec.setInitialValue('.rodata', 8, u64(1n))).toThrow('outside .rodata');
    expect(() => spec.setInitialValue('.data', 0, u64(1n))).toThrow('no map .data');
  });

  it('leaves maps out that no program reaches', async () => {
    const spec = ObjectSpec.open(hooks, 'hooks');
    for (const { name } of spec.programs) spec.setAutoload(name, false);
    spec.leaveOutMap('runs');
    const object = closing(await spec.load());
    expect(object.maps.map(({ name }) => name)).toEqual(
      spec.maps.map(({ name }) => name).filter((name) => name !== 'runs'),
    );
    expect(() => object.map('runs')).toThrow('no map runs');
  });

  it('resizes maps, leaves programs out, and takes over existing maps', async () => {
    const mine = closing(
      BpfMap.create({ type: 'percpu_array', name: 'mine', keySize: 4, valueSize: 8, maxEntries: 16 }),
    );
    const spec = ObjectSpec.open(ring, 'ring');
    spec.setMaxEntries('events', 64 * 1024);
    const object = closing(await spec.load());
    expect(object.map('events').maxEntries).toBe(64 * 1024);

    const other = ObjectSpec.open(hooks, 'hooks');
    for (const { name } of other.programs) other.setAutoload(name, name === 'on_tracepoint');
    other.reuseMap('runs', mine.fd);
    const loaded = closing(await other.load());
    expect(loaded.programs.map((program) => program.name)).toEqual(['on_tracepoint']);
    loaded.program('on_tracepoint').attach();
    getppid();
    expect(mine.sumPerCpuU64(u32(0))).toBeGreaterThan(0n);
  });

  it('retargets a BTF program before the load', async () => {
    const spec = ObjectSpec.open(hooks, 'hooks');
    for (const { name } of spec.programs) spec.setAutoload(name, name === 'on_missing_btf');
    spec.setAttachTarget('on_missing_btf', 'sched_process_exec');
    const object = closing(await spec.load());
    object.program('on_missing_btf').attach();
    execFileSync('true');
    expect(object.map('runs').sumPerCpuU64(u32(7))).toBeGreaterThan(0n);
  });

  it('refuses bytes that are no eBPF object', () => {
    expect(() => ObjectSpec.open(new Uint8Array(0), 'empty')).toThrow(BpfError);
    expect(() => ObjectSpec.open(Buffer.from('#!/bin/sh\n'), 'script')).toThrow(
      'Cannot open eBPF object script',
    );
    for (let length = 1; length < hooks.length; length += 97)
      expect(() => ObjectSpec.open(hooks.subarray(0, length), 'cut')).toThrow(BpfError);
  });

  it('is used up by the load', async () => {
    const spec = ObjectSpec.open(ring, 'ring');
    closing(await spec.load());
    await expect(spec.load()).rejects.toThrow('already loaded');
    expect(() => spec.setMaxEntries('events', 1)).toThrow('already loaded');
  });
});

describe('attaching', () => {
  const cases: [string, number, () => void][] = [
    ['on_tracepoint', 0, getppid],
    ['on_raw_tp', 1, () => execFileSync('true')],
    ['on_tp_btf', 2, () => execFileSync('true')],
    ['on_uprobe', 3, () => process.hrtime()],
    ['on_sample', 4, () => burn(200)],
    ['on_uretprobe', 8, () => process.hrtime()],
  ];

  it.each(cases)('runs %s until its link is closed', async (name, slot, provoke) => {
    const object = await loadHooks(name);
    const runs = object.map('runs');
    const program = object.program(name);
    // libuv reads its clock as it turns to the next event, not at once.
    const target = name.startsWith('on_u') ? { target: `/proc/${process.pid}/exe:uv_hrtime` } : {};
    const link = program.attach(name === 'on_sample' ? { frequencyHz: 997 } : target);
    for (let i = 0; i < 20; i++) provoke();
    if (name.startsWith('on_u')) execFileSync(process.execPath, ['-e', '']);
    expect(runs.sumPerCpuU64(u32(slot))).toBeGreaterThan(0n);
    link.close();
    const after = runs.sumPerCpuU64(u32(slot));
    provoke();
    expect(runs.sumPerCpuU64(u32(slot))).toBe(after);
  });

  it('lists tasks with an iterator', async () => {
    const object = closing(await ObjectSpec.open(compileBpf('tasks'), 'tasks').load());
    const link = object.program('list').attach();
    for (const options of [{}, { netnsPath: '/proc/self/ns/net' }]) {
      const bytes = link.read(options);
      const ids = new Uint32Array(bytes.buffer, 0, bytes.length / 4);
      expect(ids).toContain(process.pid);
    }
    expect(() => link.read({ maxBytes: 8 })).toThrow('Cannot read program list (iter/task)');
    expect(() => link.read({ netnsPath: '/proc/self/ns/none' })).toThrow('ENOENT');
  });

  it('says that a kernel without kprobes has none', async ({ skip }) => {
    const object = await loadHooks('on_kprobe');
    if (readdirSync('/sys/bus/event_source/devices').includes('kprobe')) skip();
    const error = await caught(() => object.program('on_kprobe').attach());
    expect(error).toBeInstanceOf(NotSupportedByKernelError);
    expect(error).toMatchObject({
      message:
        'Cannot attach program on_kprobe to kprobe/do_nanosleep: the kernel is built without kprobes (CONFIG_KPROBE_EVENTS).',
      program: 'on_kprobe',
      hook: 'kprobe/do_nanosleep',
      option: 'CONFIG_KPROBE_EVENTS',
    });
  });

  it.each([
    ['on_missing', 'tracepoint sched/there_is_no_such'],
    ['on_missing_raw', 'tracepoint there_is_no_such'],
  ])('says that the tracepoint of %s does not exist', async (name, what) => {
    const error = await caught(async () => (await loadHooks(name)).program(name).attach());
    expect(error).toBeInstanceOf(NotSupportedByKernelError);
    expect(error).toMatchObject({ message: expect.stringContaining(`the kernel has no ${what}`) as string });
  });

  it('says at the load that the target of a BTF program does not exist', async () => {
    const error = await caught(() => loadHooks('on_missing_btf'));
    expect(error).toBeInstanceOf(NotSupportedByKernelError);
    expect(error).toMatchObject({ program: 'on_missing_btf', hook: 'tp_btf/there_is_no_such' });
  });

  it('says which sections it cannot attach', async () => {
    const program = (await loadHooks('on_packet')).program('on_packet');
    expect(program.isAttachable).toBe(false);
    expect(() => program.attach()).toThrow(UnsupportedAttachError);
    expect(() => program.attach()).toThrow('Cannot attach program on_packet: no way to attach xdp yet.');
  });

  it('refuses targets that make no sense', async () => {
    const object = await loadHooks('on_tracepoint', 'on_uprobe', 'on_tp_btf');
    expect(() => object.program('on_tracepoint').attach({ target: '../../etc' })).toThrow(InvalidTargetError);
    expect(() => object.program('on_uprobe').attach({ target: '/bin/true' })).toThrow(InvalidTargetError);
    expect(() => object.program('on_tp_btf').attach({ target: 'sched_switch' })).toThrow(InvalidTargetError);
    expect(() => object.program('on_uprobe').attach({ target: '/bin/true:no_such' })).toThrow('on_uprobe');
    expect(() => object.program('on_uprobe').attach({ target: '/no/such:main' })).toThrow('/no/such');
  });

  it('attaches a program to several tracepoints, but to none twice', async () => {
    const object = await loadHooks('on_tracepoint');
    const program = object.program('on_tracepoint');
    program.attach();
    expect(() => program.attach()).toThrow(
      'Program on_tracepoint is already attached to tracepoint/syscalls/sys_enter_getppid.',
    );
    program.attach({ target: 'syscalls/sys_enter_getpid' }).close();
  });

  it('names the missing capability', async ({ skip }) => {
    if (process.seteuid === undefined) skip();
    const object = await loadHooks('on_tracepoint');
    try {
      process.seteuid?.(65534);
      const error = await caught(() => ObjectSpec.open(hooks, 'hooks').load());
      expect(error).toBeInstanceOf(PermissionError);
      expect(error).toMatchObject({ message: expect.stringContaining('CAP_BPF') as string });
      expect(await caught(() => object.program('on_tracepoint').attach())).toBeInstanceOf(PermissionError);
    } finally {
      process.seteuid?.(0);
    }
  });
});

/** Keeps this CPU busy for so many milliseconds of its own time. */
function burn(milliseconds: number): void {
  const start = process.cpuUsage();
  while (process.cpuUsage(start).user < milliseconds * 50) Math.sqrt(Math.random());
}

describe('loading', () => {
  it('reports what the verifier refused, with its log', async () => {
    const error = await caught(() => ObjectSpec.open(compileBpf('refused'), 'refused').load());
    expect(error).toBeInstanceOf(VerifierError);
    expect(error).toMatchObject({
      program: 'careless',
      message: expect.stringContaining("invalid mem access 'map_value_or_null'") as string,
      log: expect.stringMatching(
        /BEGIN PROG LOAD LOG[^]*call bpf_map_lookup_elem[^]*END PROG LOAD LOG/,
      ) as string,
    });
  });

  it('tells a helper that this kernel lacks from a mistake', async () => {
    const error = await caught(() => ObjectSpec.open(compileBpf('newer'), 'newer').load());
    expect(error).toBeInstanceOf(NotSupportedByKernelError);
    expect(error).toMatchObject({ program: 'ahead', message: expect.stringContaining('9999') as string });
  });

  it('relocates against other BTF than the kernel’s when told to', async () => {
    const tasks = compileBpf('tasks');
    const open = (btfCustomPath: string): ObjectSpec => ObjectSpec.open(tasks, 'tasks', { btfCustomPath });
    closing(await open('/sys/kernel/btf/vmlinux').load());
    expect(() => open('/no/such/btf')).toThrow('No BTF can be read from /no/such/btf for eBPF object tasks.');
  });

  it('names a map that cannot be', async () => {
    const spec = ObjectSpec.open(ring, 'ring');
    spec.setMaxEntries('events', 0);
    await expect(spec.load()).rejects.toThrow('map events of ring');
  });

  it('loads several objects at once, each with its own outcome and log', async () => {
    const refused = compileBpf('refused');
    const load = (bytes: Uint8Array, name: string): Promise<BpfObject> => ObjectSpec.open(bytes, name).load();
    const [good, first, second] = await Promise.allSettled([
      load(ring, 'ring'),
      load(refused, 'first'),
      load(refused, 'second'),
    ]);
    if (good.status === 'fulfilled') closing(good.value);
    expect(good.status).toBe('fulfilled');
    for (const [outcome, own, other] of [
      [first, "'first'", "'second'"],
      [second, "'second'", "'first'"],
    ] as const) {
      const { log } = (outcome as PromiseRejectedResult).reason as VerifierError;
      expect(log).toContain(own);
      expect(log).not.toContain(other);
    }
  });

  it('goes on undisturbed when its spec is closed meanwhile', async () => {
    const spec = ObjectSpec.open(ring, 'ring');
    const loading = spec.load();
    spec.close();
    expect(closing(await loading).program('emit').fd).toBeGreaterThan(0);
  });

  it('ends with the thread that waits for it, leaving nothing behind', async () => {
    const addon = fileURLToPath(new URL('../../dist/bpf/addon/ig_bpf.node', import.meta.url));
    const code = `
      const { parentPort, workerData } = require('node:worker_threads');
      const { BpfObject } = require(workerData.addon);
      for (const bytes of workerData.objects) new BpfObject(bytes, 'name').load().catch(() => undefined);
      parentPort.postMessage('loading');`;
    const before = readdirSync('/proc/self/fd').length;
    for (let i = 0; i < 5; i++) {
      const worker = new Worker(code, {
        eval: true,
        workerData: { addon, objects: [ring, compileBpf('refused')] },
      });
      await once(worker, 'message');
      await worker.terminate();
    }
    // A load that was under way when its thread ended frees what it got when it is through.
    await until(() => readdirSync('/proc/self/fd').length === before, 'no descriptor to be left');
  });

  it('leaves nothing behind after a thousand loads', async () => {
    const openFds = (): number => readdirSync('/proc/self/fd').length;
    // Attaching waits for the kernel's grace periods, some 60 ms each: it is done now and then.
    const loadOnce = async (attaches: boolean): Promise<void> => {
      const object = await ObjectSpec.open(ring, 'ring').load();
      const events = object.map('events');
      const reader = new RingReader(events.fd, events.maxEntries);
      if (attaches) object.program('emit').attach();
      reader.close();
      object.close();
    };
    for (let i = 0; i < 100; i++) await loadOnce(i % 20 === 0);
    const before = { fds: openFds(), bytes: process.memoryUsage().rss };
    for (let i = 0; i < 1000; i++) await loadOnce(i % 20 === 0);
    expect(openFds()).toBe(before.fds);
    // The object is some 10 KiB, with its BTF and its log far more: a leak of any of it would show.
    expect(process.memoryUsage().rss - before.bytes).toBeLessThan(16 << 20);
  }, 120_000);
});

describe('a map', () => {
  it('holds what was put in, until it is deleted', () => {
    const map = closing(
      BpfMap.create({ type: 'hash', name: 'table', keySize: 4, valueSize: 8, maxEntries: 3 }),
    );
    for (const n of [1, 2, 3]) map.update(u32(n), u64(BigInt(n)));
    expect([...map.keys()].map((key) => key[0]).sort()).toEqual([1, 2, 3]);
    expect(map.lookup(u32(2))).toEqual(u64(2n));
    expect(map.lookup(u32(4))).toBeUndefined();
    expect(() => map.update(u32(4), u64(4n))).toThrow('it is full (3 entries)');
    expect(() => map.update(u32(1), u64(4n), 1)).toThrow('Cannot update the map table');
    expect(map.delete(u32(2))).toBe(true);
    expect(map.delete(u32(2))).toBe(false);
    for (const key of map.keys()) map.delete(key);
    expect([...map.keys()]).toEqual([]);
  });

  it('takes only keys and values of its size', () => {
    const map = closing(
      BpfMap.create({ type: 'hash', name: 'table', keySize: 4, valueSize: 8, maxEntries: 3 }),
    );
    expect(() => map.lookup(u64(1n))).toThrow('A key of map table has 4 bytes, not 8.');
    expect(() => map.update(u32(1), u32(1))).toThrow('A value of map table has 8 bytes, not 4.');
    map.close();
    expect(map.fd).toBe(-1);
    expect(() => map.lookup(u32(1))).toThrow('The map table is closed.');
  });

  it('sums the counters of all CPUs', () => {
    const spec = { type: 'percpu_array', name: 'counts', keySize: 4, valueSize: 12, maxEntries: 1 };
    const map = closing(BpfMap.create(spec));
    expect(map.lookupSize).toBe(16 * numPossibleCpus());
    const value = new Uint8Array(map.lookupSize);
    for (let cpu = 0; cpu < numPossibleCpus(); cpu++) value.set(u64(BigInt(cpu) + 5n), 16 * cpu);
    map.update(u32(0), value);
    const cpus = BigInt(numPossibleCpus());
    expect(map.sumPerCpuU64(u32(0))).toBe(5n * cpus + (cpus * (cpus - 1n)) / 2n);
  });

  it('says why it cannot be created', () => {
    expect(() =>
      BpfMap.create({ type: 'hash', name: 'a b', keySize: 4, valueSize: 4, maxEntries: 1 }),
    ).toThrow('"a b"');
    expect(() =>
      BpfMap.create({ type: 'hash', name: 'none', keySize: 4, valueSize: 4, maxEntries: 0 }),
    ).toThrow('Cannot create the hash map none');
  });
});

/** The emitter of ring.bpf.c: `burst` records of 12 bytes per getppid(2) of this process. */
async function emitter(
  burst: number,
  ringSizeBytes: number,
): Promise<{ object: BpfObject; reader: RingReader }> {
  const spec = ObjectSpec.open(ring, 'ring');
  const variables = parseBtf(spec.btf).variables;
  const offsetOf = (name: string): number =>
    variables.find((variable) => variable.name === name)?.offset ?? -1;
  spec.setInitialValue('.rodata', offsetOf('pid'), u32(process.pid));
  spec.setInitialValue('.rodata', offsetOf('burst'), u32(burst));
  spec.setMaxEntries('events', ringSizeBytes);
  const object = closing(await spec.load());
  object.program('emit').attach();
  return { object, reader: closing(new RingReader(object.map('events').fd, ringSizeBytes)) };
}

/** The numbers of the records drained at once. */
function numbers(reader: RingReader, buffer: Uint8Array, offsets: Uint32Array, at = 0, min = 0): number[] {
  const count = reader.drain(buffer, offsets, at, min);
  const view = new DataView(buffer.buffer);
  return Array.from({ length: count }, (_, i) => Number(view.getBigUint64(offsets[i] ?? -1, true)));
}

describe('a ring reader on the kernel’s ring', () => {
  it('stops where the ring ended before', async () => {
    const { reader } = await emitter(4, 64 * 1024);
    const [buffer, offsets] = [new Uint8Array(4096), new Uint32Array(101)];
    getppid();
    const end = reader.produced;
    getppid();
    expect([reader.consumed, end, reader.produced]).toEqual([0, 4 * 24, 8 * 24]);
    expect(reader.drain(buffer, offsets, 0, 0, end)).toBe(4);
    expect(reader.drain(buffer, offsets, 0, 0, end)).toBe(0);
    expect(reader.consumed).toBe(end);
    expect(reader.drain(buffer, offsets, 0, 0)).toBe(4);
  });

  it('drops all there is, and says how many there were', async () => {
    const { reader } = await emitter(1000, 64 * 1024);
    getppid();
    // Every tenth is one that the program gave up.
    expect(reader.discardAll()).toBe(900);
    expect([reader.discardAll(), reader.availableBytes()]).toEqual([0, 0]);
  });

  it('waits, drains in order and passes over discarded records', async () => {
    const { reader } = await emitter(20, 64 * 1024);
    expect(reader.wait(0)).toBe(false);
    getppid();
    expect(reader.wait(1000)).toBe(true);
    expect(reader.availableBytes()).toBe(20 * 24);
    const buffer = new Uint8Array(4096).fill(0xee);
    const offsets = new Uint32Array(101);
    const expected = Array.from({ length: 20 }, (_, i) => i).filter((n) => n % 10 !== 9);
    expect(numbers(reader, buffer, offsets, 64)).toEqual(expected);
    expect([...offsets.subarray(0, 19)]).toEqual(Array.from({ length: 19 }, (_, i) => 64 + 16 * i));
    const view = new DataView(buffer.buffer);
    expect(view.getUint32(64 + 8, true)).toBe(0xabcd);
    expect(view.getUint32(64 + 12, true)).toBe(0);
    expect(buffer[63]).toBe(0xee);
    expect(buffer[64 + 18 * 16]).toBe(0xee);
    expect(reader.availableBytes()).toBe(0);
    expect(reader.wait(0)).toBe(false);
  });

  it('loses nothing over many turns of the ring, in buffers and batches of any size', async () => {
    const { object, reader } = await emitter(100, PAGE);
    const seen: number[] = [];
    for (let round = 0; round < 200; round++) {
      getppid();
      for (const size of [56, 128, 2048]) {
        const got = numbers(reader, new Uint8Array(size), new Uint32Array(2 + (round % 40)), 0, 24);
        expect(got.length).toBeLessThanOrEqual(Math.min(Math.floor(size / 24), 1 + (round % 40)));
        seen.push(...got);
      }
      for (let got = [0]; got.length > 0; seen.push(...got))
        got = numbers(reader, new Uint8Array(4096), new Uint32Array(64));
    }
    const expected = Array.from({ length: 200 * 100 }, (_, i) => i).filter((n) => n % 10 !== 9);
    expect(seen).toEqual(expected);
    expect(reader.skipped).toBe(0);
    expect(object.map('.bss').lookup(u32(0))).toBeDefined();
  });

  it('goes on where the last reader stopped', async () => {
    const { object, reader } = await emitter(5, PAGE);
    getppid();
    expect(numbers(reader, new Uint8Array(48), new Uint32Array(10))).toEqual([0, 1, 2]);
    reader.close();
    expect(() => reader.wait(0)).toThrow('closed');
    const next = closing(new RingReader(object.map('events').fd, PAGE));
    expect(numbers(next, new Uint8Array(48), new Uint32Array(10))).toEqual([3, 4]);
  });

  it('serves a worker thread, and outlives the object that made the ring', async () => {
    const { object } = await emitter(5, PAGE);
    const addon = fileURLToPath(new URL('../../dist/bpf/addon/ig_bpf.node', import.meta.url));
    const code = `
      const { parentPort, workerData } = require('node:worker_threads');
      const { RingReader } = require(workerData.addon);
      const reader = new RingReader(workerData.fd, ${PAGE});
      parentPort.postMessage('ready');
      const buffer = new Uint8Array(4096), offsets = new Uint32Array(65);
      let count = 0;
      while (count < 5) if (reader.wait(100)) count += reader.drain(buffer, offsets, 0, 0, 2 ** 40);
      parentPort.once('message', () => {
        parentPort.postMessage({ count, after: reader.wait(0) });
        parentPort.close();
      });
      parentPort.postMessage(count);`;
    const worker = new Worker(code, { eval: true, workerData: { addon, fd: object.map('events').fd } });
    const next = (): Promise<unknown> =>
      new Promise((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      });
    expect(await next()).toBe('ready');
    getppid();
    expect(await next()).toBe(5);
    object.close();
    const last = next();
    worker.postMessage('go on');
    expect(await last).toEqual({ count: 5, after: false });
    await worker.terminate();
  });

  it('refuses what is not a ring', async () => {
    const map = closing(
      BpfMap.create({ type: 'hash', name: 'table', keySize: 4, valueSize: 8, maxEntries: 3 }),
    );
    expect(() => new RingReader(map.fd, PAGE)).toThrow(`Cannot map the ring buffer of fd ${map.fd}`);
    expect(() => new RingReader(-1, PAGE)).toThrow('Cannot map the ring buffer');
    expect(() => new RingReader(map.fd, 5000)).toThrow('power of two');
    const { object } = await emitter(1, PAGE);
    expect(() => new RingReader(object.map('events').fd, 2 * PAGE)).toThrow('Cannot map the ring buffer');
  });
});

const BUSY = 2 ** 31;
const DISCARD = 2 ** 30;

/** A ring in a file, laid out as kernel/bpf/ringbuf.c does, to show what a real one shows for an instant only. */
function forgedRing(records: [header: number, bytes: number][]): RingReader {
  const directory = mkdtempSync(join('/dev/shm', 'ig-ring-'));
  closers.push(() => rmSync(directory, { recursive: true }));
  const file = new Uint8Array(4 * PAGE);
  const view = new DataView(file.buffer);
  let at = 0;
  for (const [header, bytes] of records) {
    for (const copy of [2 * PAGE, 3 * PAGE]) {
      view.setUint32(copy + at, header, true);
      file.fill(0x55, copy + at + 8, copy + at + 8 + bytes);
    }
    at += 8 + Math.ceil(bytes / 8) * 8;
  }
  view.setBigUint64(PAGE, BigInt(at), true);
  writeFileSync(join(directory, 'ring'), file);
  const fd = openSync(join(directory, 'ring'), 'r+');
  const reader = closing(new RingReader(fd, PAGE));
  closeSync(fd);
  return reader;
}

describe('a ring reader on a forged ring', () => {
  it('stops at a record that is not committed yet', () => {
    const reader = forgedRing([
      [8, 8],
      [BUSY + 8, 8],
      [8, 8],
    ]);
    const offsets = new Uint32Array(8);
    expect(reader.drain(new Uint8Array(64), offsets, 0, 0)).toBe(1);
    expect(reader.drain(new Uint8Array(64), offsets, 0, 0)).toBe(0);
    expect(offsets[0]).toBe(0);
    expect(reader.availableBytes()).toBe(32);
  });

  it('continues a short record with zeros', () => {
    const reader = forgedRing([
      [3, 3],
      [DISCARD + 16, 16],
      [8, 8],
    ]);
    const buffer = new Uint8Array(64).fill(0xee);
    const offsets = new Uint32Array(8);
    expect(reader.drain(buffer, offsets, 8, 12)).toBe(2);
    expect([...offsets.subarray(0, 3)]).toEqual([8, 24, 40]);
    expect([...buffer.subarray(8, 24)]).toEqual([0x55, 0x55, 0x55, ...Array<number>(13).fill(0)]);
    expect([...buffer.subarray(24, 41)]).toEqual([
      ...Array<number>(8).fill(0x55),
      ...Array<number>(8).fill(0),
      0xee,
    ]);
  });

  it('leaves a record for the next drain, and skips one that never fits', () => {
    const reader = forgedRing([
      [8, 8],
      [24, 24],
      [100, 100],
      [8, 8],
    ]);
    const buffer = new Uint8Array(24);
    const offsets = new Uint32Array(8);
    expect(reader.drain(buffer, offsets, 0, 0)).toBe(1);
    expect(reader.drain(buffer, offsets, 0, 0)).toBe(1);
    expect(offsets[1]).toBe(24);
    expect(reader.drain(buffer, offsets, 0, 0)).toBe(1);
    expect(reader.skipped).toBe(1);
    expect(reader.availableBytes()).toBe(0);
  });

  it.each([
    ['longer than the ring', PAGE],
    ['longer than what was produced', 64],
  ])('reports a record %s instead of reading it', (_, length) => {
    const reader = forgedRing([[length, 8]]);
    expect(() => reader.drain(new Uint8Array(8192), new Uint32Array(8), 0, 0)).toThrow('impossible length');
  });

  it('checks what it is given', () => {
    const reader = forgedRing([[8, 8]]);
    expect(() => reader.drain(new Uint8Array(64), new Uint32Array(1), 0, 0)).toThrow(BpfError);
    expect(() => reader.drain(new Uint8Array(64), new Uint32Array(8), 4, 0)).toThrow(BpfError);
    expect(() => reader.drain(new Uint8Array(64), new Uint32Array(8), 72, 0)).toThrow(BpfError);
  });
});

describe('writeSome', () => {
  /** Both ends of a pipe, blocking. */
  function fifo(): { input: number; output: number } {
    const directory = mkdtempSync(join(tmpdir(), 'ig-fifo-'));
    const path = join(directory, 'fifo');
    execFileSync('mkfifo', [path]);
    const input = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const output = openSync(path, constants.O_WRONLY);
    rmSync(directory, { recursive: true });
    return { input, output };
  }

  it('gives a pipe what fits, then nothing, then more once it is read', async () => {
    const { input, output } = fifo();
    const bytes = new Uint8Array(1 << 20).map((_, i) => i % 251);
    const first = writeSome(output, bytes, 0, bytes.length, 10);
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThan(bytes.length);
    expect(writeSome(output, bytes, first, bytes.length, 10)).toBe(0);
    const read = new Uint8Array(1 << 20);
    expect(readSync(input, read, 0, 10_000, null)).toBe(10_000);
    expect(read.subarray(0, 10_000)).toEqual(bytes.subarray(0, 10_000));
    expect(writeSome(output, bytes, first, bytes.length, 10)).toBeGreaterThan(0);
    closeSync(input);
    expect(await caught(() => writeSome(output, bytes, 0, 10, 10))).toMatchObject({ code: 'EPIPE' });
    closeSync(output);
  });

  it('writes whole files', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'ig-out-'));
    const fd = openSync(join(directory, 'out'), 'w+');
    expect(writeSome(fd, Buffer.from('0123456789'), 2, 8, 0)).toBe(6);
    const read = Buffer.alloc(10);
    expect(readSync(fd, read, 0, 10, 0)).toBe(6);
    expect(read.toString('latin1', 0, 6)).toBe('234567');
    closeSync(fd);
    rmSync(directory, { recursive: true });
    expect(await caught(() => writeSome(fd, read, 0, 1, 0))).toMatchObject({ code: 'EBADF' });
    expect(() => writeSome(1, read, 5, 11, 0)).toThrow(RangeError);
  });
});

describe('the machine', () => {
  it('tells its CPUs and the library', () => {
    expect(numPossibleCpus()).toBeGreaterThan(0);
    expect(libbpfVersion()).toMatch(/^v1\./);
  });
});
