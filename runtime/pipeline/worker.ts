// The worker of a pipeline: reads its gadget's rings and carries every batch through its data source's chain.

import { once } from 'node:events';
import { getHeapStatistics } from 'node:v8';
import { parentPort, receiveMessageOnPort } from 'node:worker_threads';
import { bootNowNs } from '../../bpf/clock.js';
import { RingReader } from '../../bpf/ring.js';
import { unreadBytes, writeSome } from '../../bpf/write.js';
import { ContainerView } from '../containers/view.js';
import { Batch, MAX_BATCH_RECORDS, OFFSETS_SIZE_BYTES, USUAL_BATCH_BYTES } from '../data/batch.js';
import { makeDataSource } from '../data/spec.js';
import { ByteWriter } from '../output/byte-writer.js';
import { RecordedNames } from '../operators/users.js';
import { isHidden } from '../output/column-spec.js';
import type { RecordingWriter } from '../recording/writer.js';
import { Chain, type Shared, compileChains } from './chain.js';
import { Control } from './control.js';
import { HashTable } from './hash-table.js';
import type {
  FieldDescription,
  FromWorker,
  ModuleConfig,
  Replayed,
  ToWorker,
  WorkerConfig,
} from './messages.js';
import { Meter, type Taken, threadSeconds } from './meter.js';
import { type ModuleFailure, Modules } from './modules.js';
import { SightingGate } from './sightings.js';
import { Sink, type SinkPort } from './sink.js';
import { type Nap, napAfter } from './wakeup.js';
import { type WantedConfig, checkCollected, unwantedSwitches } from './wanted.js';

/** How often events that wait for a name or a hash are looked at. */
const HOLD_POLL_MS = 10;
/** How long the last events wait for their hashes when the run ends. */
const LAST_HASHES_MS = 500;

const port = parentPort!;
const config = await toldConfig();
const control = new Control(config.control);
const meter = config.meter === undefined ? undefined : new Meter(config.meter);
const view = new ContainerView();
const replaying = config.replay === undefined ? undefined : await import('./replay.js');
const sink = new Sink(config.output.fd, control, await openPort());
const recorder = await openRecorder();
const writer = new ByteWriter(USUAL_BATCH_BYTES);
const asked = new Set<number>();
const recordedNames = new RecordedNames();
const hashes = new HashTable();
let begun = false;
let { modules: moduleConfigs } = config;
let nextModules: readonly ModuleConfig[] | undefined;
let widthColumns: number | undefined;
let gate: SightingGate | undefined;
let toldClosed = false;

/** Before it gets its configuration, it may be asked what nobody reads: this thread has the code for that. */
async function toldConfig(): Promise<WorkerConfig> {
  const [message] = (await once(port, 'message')) as [WorkerConfig | WantedConfig];
  if ('control' in message) return message;
  port.postMessage(unwantedSwitches(message));
  return toldConfig();
}

function send(message: FromWorker): void {
  port.postMessage(message);
}

async function openPort(): Promise<SinkPort> {
  if (config.replay === undefined) return { write: writeSome, unread: unreadBytes };
  const { plainWrite } = await import('./plain-write.js');
  return { write: plainWrite(config.output.fd), unread: () => 0 };
}

async function openRecorder(): Promise<RecordingWriter | undefined> {
  if (config.recordFd === undefined) return undefined;
  const { RecordingWriter } = await import('../recording/writer.js');
  return new RecordingWriter(config.recordFd, {
    recorded: (events) => control.addRecorded(events),
    failed: (reason) => send({ type: 'recordingFailed', reason }),
  });
}

interface Reader {
  chain: Chain;
  readonly ring: RingReader;
  readonly batch: Batch;
  skipped: number;
  /** How far a round reads the ring. */
  end: number;
}

interface Built {
  readonly chains: readonly Chain[];
  readonly modules: Modules;
}

async function build(): Promise<Built> {
  const isReplay = config.replay !== undefined;
  const report = (failure: ModuleFailure): void => send({ type: 'guestFailed', ...failure });
  const modules = new Modules(control, report, isReplay, meter);
  const sources = config.sources.map(makeDataSource);
  const chains: Chain[] = [];
  const shared = sharedParts(modules);
  const addOperators = (): void => {
    for (let i = chains.length; i < sources.length; i++)
      chains.push(new Chain(sources[i]!, i, config, shared));
  };
  for (const [index, module] of moduleConfigs.entries()) {
    if (module.role === 'filter') addOperators();
    const made = await modules.open(module, [...sources], {
      log: (level, text) => send({ type: 'guestLog', module: index, level, text }),
      discardsMntns,
    });
    sources.push(...made);
  }
  addOperators();
  compileChains(chains, config, (index) => modules.isShown(index));
  checkCollected(chains, config);
  modules.select(chains.map((chain) => chain.usedFields()));
  if (config.rings.length > 0 || isReplay) modules.start();
  return { chains, modules };
}

function sharedParts(modules: Modules): Shared {
  return {
    ...{ control, writer, sink, view, modules, recorder, meter },
    askContainer: (mntns, pid) => {
      if (asked.has(mntns)) return;
      asked.add(mntns);
      send({ type: 'unknownMntns', mntns, pid });
    },
    catchUp: () => gate?.pass(),
    hashing:
      config.hashing === true
        ? {
            table: hashes,
            // What was not hashed in time when it was recorded never will be.
            ask: (file, mntns) => replaying ?? send({ type: 'hashFile', file, mntns }),
          }
        : undefined,
    userFiles: {
      onRead: (of, names) => recorder?.names(of, names),
      ...(replaying === undefined ? {} : { recorded: recordedNames }),
    },
  };
}

function discardsMntns(mntns: bigint): boolean {
  if (config.containers?.filtering !== true) return false;
  const [low, high] = [Number(mntns & 0xffff_ffffn), Number(mntns >> 32n)];
  return !view.isSelected(view.indexOf(low, high));
}

function describe(chains: readonly Chain[]): FieldDescription[] {
  return chains.flatMap(({ source, isShown }) =>
    (isShown ? source.valueFields() : []).map((field) => ({
      dataSource: source.name,
      fullName: field.fullName,
      kind: field.length > 1 ? `${field.kind}[${field.length}]` : field.kind,
      hidden: isHidden(field),
      description: field.annotations['description'] ?? '',
    })),
  );
}

function printHeaders(chains: readonly Chain[]): void {
  for (const { isShown, output } of chains) if (isShown) output.header(writer);
  sink.flush(writer, 0);
}

function hear(message: ToWorker, chains: readonly Chain[]): void {
  switch (message.type) {
    case 'begin':
      begun = true;
      if (message.printHeader) printHeaders(chains);
      break;
    case 'container':
      view.apply(message.change);
      recorder?.change(message.change);
      if ('mntns' in message.change) asked.delete(message.change.mntns);
      break;
    case 'hashed':
      hashes.settle(message.file);
      recorder?.hashed(message.file);
      break;
    case 'resize':
      widthColumns = message.widthColumns;
      for (const chain of chains) chain.output.resize?.(widthColumns);
      break;
    case 'swap':
      nextModules = message.modules;
      break;
  }
}

function hearAll(chains: readonly Chain[]): void {
  for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
    hear(next.message as ToWorker, chains);
  }
}

/** Reads one batch, of records before `end`; returns how many came. */
function drain(reader: Reader, nowMs: number, end?: number): number {
  const { ring, batch, chain } = reader;
  const count = ring.drain(batch.bytes, batch.offsets, OFFSETS_SIZE_BYTES, chain.source.recordSize, end);
  meter?.lap('read');
  if (ring.skipped > reader.skipped) {
    control.add('read', ring.skipped - reader.skipped);
    control.add('lostTooLarge', ring.skipped - reader.skipped);
    reader.skipped = ring.skipped;
  }
  if (count > 0) {
    batch.reset(count);
    chain.take(batch, nowMs);
  }
  return count;
}

/**
 * One round over all rings; returns how to wait for the next. What an event of one data source leads to in a later one,
 * such as the exit after the exec, comes behind it: each ring is read as far as it was filled before the ones ahead.
 */
function round(readers: readonly Reader[], { chains, modules }: Built): Nap {
  const nowMs = bootNowNs() / 1e6;
  meter?.lap('other');
  meter?.lookAt(() => taken(modules));
  modules.turn(nowMs, chains);
  let records = 0;
  let fill = 0;
  for (let i = readers.length - 1; i >= 0; i--) {
    const { ring } = readers[i]!;
    const waiting = ring.availableBytes();
    readers[i]!.end = ring.produced;
    meter?.sawRing(i, waiting);
    fill = Math.max(fill, waiting / ring.sizeBytes);
  }
  for (const reader of readers) {
    // Those that waited are older than what the ring holds.
    reader.chain.release(nowMs);
    records += readers.length === 1 ? drain(reader, nowMs) : drainToEnd(reader, nowMs);
    if (reader.ring.consumed < reader.end) break;
  }
  return napAfter(records, fill);
}

/** What this thread takes. */
function taken({ memoryBytes: wasmBytes }: Modules): Taken {
  return { heapBytes: getHeapStatistics().used_heap_size, wasmBytes, cpuSeconds: threadSeconds() };
}

/** Reads a round's part of a ring, unless a record of it is not written yet. */
function drainToEnd(reader: Reader, nowMs: number): number {
  let [records, count] = [0, 0];
  do {
    count = drain(reader, nowMs, reader.end);
    records += count;
  } while (count > 0);
  return records;
}

function wait(readers: readonly Reader[], nap: Nap, { nextTickMs }: Modules): void {
  if (nap.until === 'none') return;
  const holding = readers.some(({ chain }) => chain.holding);
  const untilTickMs = Math.max(1, nextTickMs - bootNowNs() / 1e6);
  const timeoutMs = Math.ceil(Math.min(nap.timeoutMs, untilTickMs, holding ? HOLD_POLL_MS : Infinity));
  if (nap.until === 'clock' || readers.length === 0) control.sleep(timeoutMs);
  else readers[0]!.ring.wait(readers.length === 1 ? timeoutMs : Math.min(timeoutMs, HOLD_POLL_MS));
}

/** Events come until the main thread ends that. */
function tellClosed(): void {
  if (!toldClosed) send({ type: 'outputClosed' });
  toldClosed = true;
}

/** What the rings still hold, then what still waits for a name. */
function drainAll(readers: readonly Reader[], { chains, modules }: Built): void {
  const nowMs = bootNowNs() / 1e6;
  for (const reader of readers) while (drain(reader, nowMs) > 0) modules.turn(nowMs, chains);
  awaitLastHashes(chains);
  for (const { chain } of readers) chain.release(Infinity);
  modules.turn(nowMs, chains);
}

function awaitLastHashes(chains: readonly Chain[]): void {
  const untilMs = performance.now() + LAST_HASHES_MS;
  const nobody = new Int32Array(new SharedArrayBuffer(4));
  while (chains.some(({ awaitsHashes }) => awaitsHashes) && performance.now() < untilMs && !sink.closed) {
    Atomics.wait(nobody, 0, 0, 5);
    hearAll(chains);
    for (const chain of chains) chain.release(bootNowNs() / 1e6);
  }
}

/** Reads until it is to stop. */
async function loop(first: Built): Promise<Built> {
  let built = first;
  const readers = config.rings.map(({ source, fd, sizeBytes, recordBytes = 0 }) => ({
    chain: built.chains[source]!,
    ring: new RingReader(fd, sizeBytes),
    batch: new Batch(Math.max(USUAL_BATCH_BYTES, Math.ceil(recordBytes / 8) * 8), MAX_BATCH_RECORDS),
    skipped: 0,
    end: 0,
  }));
  const sightings = config.containers?.sightings;
  if (sightings !== undefined) {
    gate = new SightingGate(
      sightings,
      () => send({ type: 'catchUp' }),
      () => hearAll(built.chains),
    );
  }
  meter?.mark();
  while (!control.stopping) {
    if (sink.closed) tellClosed();
    hearAll(built.chains);
    if (nextModules !== undefined) {
      built = await swap(built, nextModules);
      for (const [i, { source }] of config.rings.entries()) readers[i]!.chain = built.chains[source]!;
    }
    wait(readers, round(readers, built), built.modules);
    meter?.mark();
  }
  hearAll(built.chains);
  drainAll(readers, built);
  meter?.lookAt(() => taken(built.modules), true);
  for (const { ring } of readers) ring.close();
  gate?.close();
  return built;
}

/** Has other modules go on; the rings keep what comes meanwhile. When they cannot be started, the old ones do. */
async function swap(old: Built, next: readonly ModuleConfig[]): Promise<Built> {
  nextModules = undefined;
  const before = moduleConfigs;
  moduleConfigs = next;
  control.isStartingOthers = true;
  try {
    const built = await build();
    control.isStartingOthers = false;
    old.modules.finish(old.chains);
    for (const source of config.sources.keys()) built.chains[source]!.adopt(old.chains[source]!);
    if (widthColumns !== undefined) for (const { output } of built.chains) output.resize?.(widthColumns);
    printHeaders(built.chains);
    send({ type: 'swapped', traces: built.modules.traces });
    return built;
  } catch (error) {
    control.isStartingOthers = false;
    moduleConfigs = before;
    send({ type: 'swapFailed', failure: error instanceof Error ? error.message : String(error) });
    return old;
  }
}

/** Blocks until the main thread says that the programs are attached. */
function awaitBegin(chains: readonly Chain[]): void {
  while (!begun && !control.stopping) {
    hearAll(chains);
    if (!begun) control.sleep(1);
  }
}

try {
  const changes = config.containers?.changes ?? [];
  for (const change of changes) view.apply(change);
  recorder?.start(changes);
  const built = await build();
  const { chains, modules } = built;
  send({ type: 'ready', fields: describe(chains), settings: modules.settings, traces: modules.traces });
  if (config.rings.length > 0 || config.replay !== undefined) {
    awaitBegin(chains);
    let replayed: Replayed | undefined;
    let last = built;
    if (replaying === undefined) last = await loop(built);
    else
      replayed = replaying.replay(config, {
        ...{ chains, view, control, sink, modules, names: recordedNames, hashes },
      });
    last.modules.finish(last.chains);
    if (replayed !== undefined) send({ type: 'replayed', ...replayed });
  }
  if (sink.closed) tellClosed();
  send({ type: 'done' });
} catch (error) {
  const { name, message } = error instanceof Error ? error : { name: 'Error', message: String(error) };
  send({ type: 'failed', name, message });
}
port.close();
