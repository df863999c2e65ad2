// @ts-check
// Uses all of the native addon, with right and hostile input, in workers that end in the middle of it, and ends as a
// program should: for AddressSanitizer and valgrind to look on (sanitizers.js starts it).
//
//   node test/sanitizers/exercise.js ROUNDS

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { bootNowNs, bootToEpochNs } from '../../dist/bpf/clock.js';
import { kernelTypeIds, probeCall, probeMapType, securityFile } from '../../dist/bpf/features.js';
import {
  BpfMap,
  ObjectSpec,
  RingReader,
  libbpfVersion,
  numPossibleCpus,
  parseBtf,
  readFileBelow,
  writeSome,
} from '../../dist/bpf/index.js';
import { addonPath } from '../../dist/bpf/native.js';
import { Mutator } from '../fuzz/mutate.js';

const BUILD = new URL('../../build/sanitizers/', import.meta.url);
const PAGE = 4096;
const RING_BYTES = 64 * 1024;
const random = new Mutator(1, []);
const directory = mkdtempSync(join(tmpdir(), 'ig-exercise-'));

/** @type {(name: string) => Buffer} */
const object = (name) => readFileSync(new URL(`${name}.bpf.o`, BUILD));
const [hooks, ring, refused, newer, tasks] = ['hooks', 'ring', 'refused', 'newer', 'tasks'].map(object);

/**
 * What fails must do so with an Error.
 * @type {<T>(action: () => T | Promise<T>) => Promise<T | undefined>}
 */
async function tried(action) {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof Error)) throw new Error(`thrown: ${String(error)}`, { cause: error });
    return undefined;
  }
}

async function machine() {
  libbpfVersion();
  numPossibleCpus();
  bootToEpochNs();
  bootNowNs();
  securityFile('lsm');
  for (const type of ['ringbuf', 'hash', 'no_such']) await tried(() => probeMapType(type));
  for (const helper of [1, 9999]) await tried(() => probeCall({ type: 'raw_tracepoint' }, { helper }));
  await tried(() =>
    kernelTypeIds([
      { kind: 'func', name: 'bpf_ringbuf_query' },
      { kind: 'typedef', name: '' },
    ]),
  );
}

/** Changes everything that an object lets change before its load. @type {(spec: ObjectSpec) => void} */
function change(spec) {
  for (const map of ['.rodata', '.bss', '.data', 'none']) {
    void tried(() => spec.setInitialValue(map, 0, spec.initialValue(map)));
    void tried(() => spec.setInitialValue(map, 1 << 30, new Uint8Array(8)));
  }
  for (const { name } of spec.maps) void tried(() => spec.setMaxEntries(name, 64));
  parseBtf(spec.btf);
}

async function objects() {
  const names = ObjectSpec.open(hooks, 'hooks').programs.map(({ name }) => name);
  for (const name of names) {
    const spec = ObjectSpec.open(hooks, 'hooks');
    change(spec);
    for (const other of names) spec.setAutoload(other, other === name);
    if (name === 'on_missing_btf') await tried(() => spec.setAttachTarget(name, 'sched_process_exec'));
    const loaded = await tried(() => spec.load());
    await tried(() => loaded?.program(name).attach({ frequencyHz: 97 }));
    await tried(() => loaded?.program(name).attach({ target: 'no such:target' }).close());
    loaded?.map('runs').sumPerCpuU64(new Uint8Array(4));
    loaded?.close();
    spec.close();
  }
  for (const bytes of [refused, newer]) await tried(() => ObjectSpec.open(bytes, 'refused').load());
  await Promise.all(
    [ring, refused, ring].map((bytes) => tried(() => ObjectSpec.open(bytes, 'several').load())),
  );
  const own = BpfMap.create({ type: 'percpu_array', name: 'own', keySize: 4, valueSize: 8, maxEntries: 16 });
  const reusing = ObjectSpec.open(hooks, 'hooks');
  await tried(() => reusing.reuseMap('runs', own.fd));
  await tried(() => reusing.leaveOutMap('runs'));
  own.close();
  reusing.close();
  const iterated = await ObjectSpec.open(tasks, 'tasks').load();
  const link = iterated.program('list').attach();
  link.read();
  link.read({ netnsPath: '/proc/self/ns/net' });
  await tried(() => link.read({ maxBytes: 8 }));
  iterated.close();
}

/** @type {(rounds: number) => Promise<void>} */
async function spoiltObjects(rounds) {
  for (const bytes of [hooks, ring, tasks]) {
    for (let round = 0; round < rounds; round++) {
      const spoilt = random.mutate(bytes, [hooks, ring, tasks]);
      const spec = await tried(() => ObjectSpec.open(spoilt, 'spoilt'));
      if (spec === undefined) continue;
      await tried(() => change(spec));
      const loaded = await tried(() => spec.load());
      loaded?.close();
    }
  }
}

/** An object that sends `burst` records whenever this process calls getppid(2). @type {(burst: number) => Promise<import('../../dist/bpf/index.js').BpfObject>} */
async function emitter(burst) {
  const spec = ObjectSpec.open(ring, 'ring');
  const { variables } = parseBtf(spec.btf);
  for (const [name, value] of /** @type {const} */ ([
    ['pid', process.pid],
    ['burst', burst],
  ])) {
    const offset = variables.find((variable) => variable.name === name)?.offset ?? -1;
    spec.setInitialValue('.rodata', offset, new Uint8Array(Uint32Array.of(value).buffer));
  }
  spec.setMaxEntries('events', RING_BYTES);
  const loaded = await spec.load();
  loaded.program('emit').attach();
  return loaded;
}

/** @type {(rounds: number) => Promise<void>} */
async function rings(rounds) {
  const emitting = await emitter(100);
  const reader = new RingReader(emitting.map('events').fd, RING_BYTES);
  for (let round = 0; round < rounds; round++) {
    void process.ppid;
    reader.wait(0);
    drainAll(reader);
  }
  reader.close();
  await tried(() => reader.wait(0));
  await tried(() => new RingReader(emitting.map('.bss').fd, PAGE));
  emitting.close();
}

/**
 * Into ever new buffers, mostly too small, in memory that threads share, as batches are, and of this thread alone.
 * @type {(reader: RingReader) => void}
 */
function drainAll(reader) {
  // A forged ring may never end.
  for (let n = 0; n < 100 && reader.availableBytes() > 0; n++) {
    const size = 8 * (1 + random.below(60));
    const Memory = random.choose([ArrayBuffer, SharedArrayBuffer]);
    const offsets = new Uint32Array(2 + random.below(20));
    reader.drain(new Uint8Array(new Memory(size)), offsets, 8 * random.below(size / 8), random.below(64));
  }
}

/** Rings in files, whose headers and positions no kernel would write. @type {(rounds: number) => Promise<void>} */
async function forgedRings(rounds) {
  const path = join(directory, 'ring');
  for (let round = 0; round < rounds; round++) {
    const file = new Uint8Array(4 * PAGE);
    const view = new DataView(file.buffer);
    for (let at = 0; at < PAGE; at += 8 + 8 * random.below(16)) {
      const length = random.choose([0, 8, 60, 100, PAGE - 8, PAGE, 2 ** 30 - 1, random.below(2 ** 30)]);
      const header = (length | random.choose([0, 0, 0, 2 ** 30, 2 ** 31])) >>> 0;
      for (const copy of [2 * PAGE, 3 * PAGE]) view.setUint32(copy + at, header, true);
    }
    view.setBigUint64(0, BigInt(8 * random.below(PAGE / 4)), true);
    view.setBigUint64(
      PAGE,
      BigInt(random.choose([0, 8, PAGE, 2 * PAGE, 2 ** 53, random.below(2 ** 32)])),
      true,
    );
    writeFileSync(path, file);
    const fd = openSync(path, 'r+');
    const reader = new RingReader(fd, PAGE);
    closeSync(fd);
    await tried(() => drainAll(reader));
    reader.close();
  }
}

async function maps() {
  const map = BpfMap.create({ type: 'hash', name: 'table', keySize: 4, valueSize: 12, maxEntries: 3 });
  /** @type {(n: number) => Uint8Array} */
  const key = (n) => new Uint8Array(Uint32Array.of(n).buffer);
  for (let n = 0; n < 5; n++) await tried(() => map.update(key(n), new Uint8Array(12).fill(n)));
  for (const found of map.keys()) map.lookup(found);
  map.delete(key(0));
  map.delete(key(7));
  await tried(() => map.lookup(new Uint8Array(5)));
  BpfMap.borrow({
    ...map,
    name: 'borrowed',
    type: 'hash',
    keySize: 4,
    valueSize: 12,
    maxEntries: 3,
    fd: map.fd,
  }).close();
  map.close();
  await tried(() => map.lookup(key(0)));
  await tried(() => BpfMap.create({ type: 'no_such', name: 'x', keySize: 4, valueSize: 4, maxEntries: 1 }));
}

async function files() {
  const fifo = join(directory, 'fifo');
  execFileSync('mkfifo', [fifo]);
  const input = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  const output = openSync(fifo, constants.O_WRONLY);
  const bytes = new Uint8Array(1 << 20);
  while (writeSome(output, bytes, 1, bytes.length, 1) > 0);
  closeSync(input);
  await tried(() => writeSome(output, bytes, 0, 8, 1));
  closeSync(output);
  await tried(() => writeSome(output, bytes, 0, 8, 1));
  writeFileSync(join(directory, 'file'), bytes);
  for (const [path, limit] of /** @type {const} */ ([
    ['/file', 1 << 20],
    ['/file', 100],
    ['/none', 100],
    ['/fifo', 100],
    ['/', 100],
    ['/proc/self/exe', 100],
  ]))
    await tried(() => readFileBelow(directory, path, limit));
  // valgrind 3.19 does not know openat2(2).
  await Promise.all(
    Array.from({ length: 20 }, () => tried(() => readFileBelow(directory, '/file', 1 << 20))),
  );
}

/** What workers are in the middle of when they are ended; each speaks once, before that. */
const WORKS = {
  wait: `while (true) { const reader = new RingReader(fd, ${RING_BYTES}); say(); reader.wait(30); }`,
  drain: `const reader = new RingReader(fd, ${RING_BYTES}), bytes = new Uint8Array(new SharedArrayBuffer(4096)),
      offsets = new Uint32Array(64);
    while (true) { reader.drain(bytes, offsets, 0, 0, 2 ** 40); say(); }`,
  load: `for (const bytes of objects) new BpfObject(bytes, 'name').load(); say();`,
  read: `for (let i = 0; i < 10; i++) readFileBelow(directory, '/file', 1 << 20).catch(() => undefined); say();`,
  leave: `const object = new BpfObject(hooks, 'name');
    for (const { name } of object.programs()) object.setAutoload(name, name === 'on_raw_tp');
    object.load().then(() => {
      object.attachRawTracepoint('on_raw_tp', 'sched_process_exec');
      new BpfMap(object.mapFd('runs'));
      say();
    });`,
};

/** @type {(rounds: number) => Promise<void>} */
async function workers(rounds) {
  const emitting = await emitter(50);
  const fd = emitting.map('events').fd;
  for (let round = 0; round < rounds; round++) {
    for (const work of Object.values(WORKS)) {
      const code = `
        const { parentPort, workerData } = require('node:worker_threads');
        const { addon, fd, hooks, objects, directory } = workerData;
        const { BpfMap, BpfObject, RingReader, readFileBelow } = require(addon);
        let said = false;
        const say = () => { if (!said) parentPort.postMessage(said = true); };
        ${work}
        setInterval(() => undefined, 1000);`;
      const workerData = { addon: addonPath(), fd, hooks, objects: [ring, refused], directory };
      const worker = new Worker(code, { eval: true, workerData });
      await once(worker, 'message');
      for (let i = random.below(20); i > 0; i--) void process.ppid;
      await worker.terminate();
    }
  }
  // The readers' ring goes while one is at work.
  const last = new Worker(
    `const { RingReader } = require(require('node:worker_threads').workerData.addon);
     const reader = new RingReader(require('node:worker_threads').workerData.fd, ${RING_BYTES});
     require('node:worker_threads').parentPort.postMessage(0);
     for (let i = 0; i < 20; i++) { reader.wait(5); reader.drain(new Uint8Array(4096), new Uint32Array(64), 0, 0, 2 ** 40); }`,
    { eval: true, workerData: { addon: addonPath(), fd } },
  );
  await once(last, 'message');
  emitting.close();
  await once(last, 'exit');
}

/** Never closed: the end of the process finds it so. */
async function leaveOpen() {
  const emitting = await emitter(5);
  const reader = new RingReader(emitting.map('events').fd, RING_BYTES);
  reader.wait(0);
  ObjectSpec.open(hooks, 'open');
  BpfMap.create({ type: 'hash', name: 'open', keySize: 4, valueSize: 4, maxEntries: 1 });
  void ObjectSpec.open(ring, 'loading').load();
  void tried(() => readFileBelow(directory, '/file', 1 << 20));
}

const rounds = Number(process.argv[2]);
// Reading below a root does not keep the process alive.
const alive = setInterval(() => undefined, 1000);
await machine();
await objects();
await maps();
await files();
await rings(4 * rounds);
await forgedRings(20 * rounds);
await workers(rounds);
await spoiltObjects(20 * rounds);
await leaveOpen();
clearInterval(alive);
process.once('exit', () => rmSync(directory, { recursive: true }));
process.stdout.write('all of the addon was used\n');
