// The worker of a pipeline: reads its gadget's rings and carries every batch through its data source's chain.

import { once } from 'node:events';
import { parentPort, receiveMessageOnPort } from 'node:worker_threads';
import { RingReader } from '../../bpf/ring.js';
import { writeSome } from '../../bpf/write.js';
import { GuestError, PatchError } from '../../wasm/host/errors.js';
import { ContainerView } from '../containers/view.js';
import { Batch, MAX_BATCH_BYTES, MAX_BATCH_RECORDS, OFFSETS_SIZE_BYTES } from '../data/batch.js';
import { makeDataSource } from '../data/spec.js';
import { ByteWriter } from '../output/byte-writer.js';
import { RecordedNames } from '../operators/users.js';
import { isHidden } from '../output/column-spec.js';
import type { RecordingWriter } from '../recording/writer.js';
import { Chain } from './chain.js';
import { Control } from './control.js';
import { type GuestModule, openGuest } from './guest-module.js';
import type { FieldDescription, FromWorker, Replayed, ToWorker, WorkerConfig } from './messages.js';
import { MAX_GUEST_FAILURES } from './limits.js';
import { SightingGate } from './sightings.js';
import { Sink } from './sink.js';
import { type Nap, napAfter } from './wakeup.js';

/** How often events that wait for a name are looked at. */
const HOLD_POLL_MS = 10;

const port = parentPort!;
const [config] = (await once(port, 'message')) as [WorkerConfig];
const control = new Control(config.control);
const view = new ContainerView();
const replaying = config.replay === undefined ? undefined : await import('./replay.js');
const write =
  config.replay === undefined ? writeSome : (await import('./plain-write.js')).plainWrite(config.output.fd);
const sink = new Sink(config.output.fd, control, write);
const recorder = await openRecorder();
const writer = new ByteWriter(MAX_BATCH_BYTES);
const asked = new Set<number>();
const recordedNames = new RecordedNames();
let begun = false;
let gate: SightingGate | undefined;

function send(message: FromWorker): void {
  port.postMessage(message);
}

async function openRecorder(): Promise<RecordingWriter | undefined> {
  if (config.recordFd === undefined) return undefined;
  const { RecordingWriter } = await import('../recording/writer.js');
  return new RecordingWriter(config.recordFd, {
    recorded: (events) => control.addRecorded(events),
    failed: (reason) => send({ type: 'recordingFailed', reason }),
  });
}

/** The Wasm module, and how many batches in a row it failed on. */
class GuestRunner {
  private readonly module: GuestModule;
  private enabled: boolean;
  private failures = 0;

  constructor(module: GuestModule, enabled: boolean) {
    this.module = module;
    this.enabled = enabled;
  }

  /** False when the batch is lost to a failure of the module. */
  run(source: number, batch: Batch): boolean {
    if (!this.enabled) return true;
    control.enterGuest();
    try {
      this.module.process(source, batch);
      this.failures = 0;
      return true;
    } catch (error) {
      if (!(error instanceof GuestError || error instanceof PatchError)) throw error;
      this.failures++;
      this.enabled = this.failures < MAX_GUEST_FAILURES;
      send({ type: 'guestFailed', message: error.message, disabled: !this.enabled });
      return false;
    } finally {
      control.leaveGuest();
    }
  }

  finish(): void {
    if (!this.enabled) return;
    control.enterGuest();
    try {
      this.module.finish();
    } catch (error) {
      if (!(error instanceof GuestError)) throw error;
      send({ type: 'guestFailed', message: error.message, disabled: true });
    } finally {
      control.leaveGuest();
    }
  }
}

interface Reader {
  readonly chain: Chain;
  readonly takeMade: () => void;
  readonly ring: RingReader;
  readonly batch: Batch;
  skipped: number;
}

interface Built {
  readonly chains: readonly Chain[];
  readonly guest: GuestRunner | undefined;
  readonly settings: readonly (readonly [string, string])[];
  /** Carries on what the Wasm module emitted until now. */
  readonly takeMade: () => void;
}

async function build(): Promise<Built> {
  const changes = config.containers?.changes ?? [];
  for (const change of changes) view.apply(change);
  recorder?.start(changes);
  const sources = config.sources.map(makeDataSource);
  const module =
    config.wasm === undefined
      ? undefined
      : await openGuest(config.wasm, sources, {
          log: (level, text) => send({ type: 'guestLog', level, text }),
          discardsMntns: (mntns) => discardsMntns(mntns),
        });
  const guest = module === undefined ? undefined : new GuestRunner(module, config.wasm!.enabled);
  const shared = {
    control,
    writer,
    sink,
    view,
    runGuest: (source: number, batch: Batch) => guest === undefined || guest.run(source, batch),
    askContainer: (mntns: number, pid: number) => {
      if (asked.has(mntns)) return;
      asked.add(mntns);
      send({ type: 'unknownMntns', mntns, pid });
    },
    catchUp: () => gate?.pass(),
    userFiles: {
      onRead: (of: 'users' | 'groups', names: ReadonlyMap<number, string>) => recorder?.names(of, names),
      ...(replaying === undefined ? {} : { recorded: recordedNames }),
    },
    recorder,
  };
  const chains = [...sources, ...(module?.madeSources ?? [])].map(
    (source, index) => new Chain(source, index, config, shared, module?.isShown?.(index) ?? true),
  );
  module?.select(chains.map((chain) => chain.usedFields()));
  if (config.rings.length > 0 && config.wasm?.enabled === true) module?.start?.();
  const takeMade = (): void => {
    for (const { source, batch } of module?.takeMade?.() ?? []) chains[source]!.takeMade(batch);
  };
  return { chains, guest, settings: module?.settings ?? [], takeMade };
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

function hear(message: ToWorker, chains: readonly Chain[]): void {
  switch (message.type) {
    case 'begin':
      begun = true;
      if (message.printHeader) {
        for (const { isShown, output } of chains) if (isShown) output.header(writer);
        sink.flush(writer);
      }
      break;
    case 'container':
      view.apply(message.change);
      recorder?.change(message.change);
      if ('mntns' in message.change) asked.delete(message.change.mntns);
      break;
    case 'resize':
      for (const chain of chains) chain.output.resize?.(message.widthColumns);
      break;
  }
}

function hearAll(chains: readonly Chain[]): void {
  for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
    hear(next.message as ToWorker, chains);
  }
}

/** Reads one batch; returns how many records came. */
function drain(reader: Reader, nowMs: number): number {
  const { ring, batch, chain, takeMade } = reader;
  const count = ring.drain(batch.bytes, batch.offsets, OFFSETS_SIZE_BYTES, chain.source.recordSize);
  if (ring.skipped > reader.skipped) {
    control.add('read', ring.skipped - reader.skipped);
    control.add('lostTooLarge', ring.skipped - reader.skipped);
    reader.skipped = ring.skipped;
  }
  if (count > 0) {
    batch.reset(count);
    chain.take(batch, nowMs);
    takeMade();
  }
  return count;
}

/** One round over all rings; returns how to wait for the next. */
function round(readers: readonly Reader[], nowMs: number): Nap {
  let records = 0;
  let fill = 0;
  for (const reader of readers) {
    fill = Math.max(fill, reader.ring.availableBytes() / reader.ring.sizeBytes);
    // Those that waited are older than what the ring holds.
    reader.chain.release(nowMs);
    reader.takeMade();
    records += drain(reader, nowMs);
  }
  return napAfter(records, fill);
}

function wait(readers: readonly Reader[], nap: Nap): void {
  if (nap.until === 'none') return;
  const holding = readers.some(({ chain }) => chain.holding);
  const timeoutMs = holding ? Math.min(nap.timeoutMs, HOLD_POLL_MS) : nap.timeoutMs;
  if (nap.until === 'clock' || readers.length === 0) control.sleep(timeoutMs);
  else readers[0]!.ring.wait(readers.length === 1 ? timeoutMs : Math.min(timeoutMs, HOLD_POLL_MS));
}

/** What the rings still hold, then what still waits for a name. */
function drainAll(readers: readonly Reader[]): void {
  for (const reader of readers) while (!sink.closed && drain(reader, performance.now()) > 0);
  for (const { chain, takeMade } of readers) {
    chain.release(Infinity);
    takeMade();
  }
}

function loop({ chains, takeMade }: Built): void {
  const readers = config.rings.map(({ source, fd, sizeBytes }) => ({
    chain: chains[source]!,
    takeMade,
    ring: new RingReader(fd, sizeBytes),
    batch: new Batch(MAX_BATCH_BYTES, MAX_BATCH_RECORDS),
    skipped: 0,
  }));
  const sightings = config.containers?.sightings;
  if (sightings !== undefined) {
    gate = new SightingGate(
      sightings,
      () => send({ type: 'catchUp' }),
      () => hearAll(chains),
    );
  }
  while (!control.stopping && !sink.closed) {
    hearAll(chains);
    wait(readers, round(readers, performance.now()));
  }
  hearAll(chains);
  drainAll(readers);
  for (const { ring } of readers) ring.close();
  gate?.close();
}

/** Blocks until the main thread says that the programs are attached. */
function awaitBegin(chains: readonly Chain[]): void {
  while (!begun && !control.stopping) {
    hearAll(chains);
    if (!begun) control.sleep(1);
  }
}

try {
  const built = await build();
  const { chains, guest, settings, takeMade } = built;
  send({ type: 'ready', fields: describe(chains), settings });
  if (config.rings.length > 0 || config.replay !== undefined) {
    awaitBegin(chains);
    let replayed: Replayed | undefined;
    if (replaying === undefined) loop(built);
    else replayed = replaying.replay(config, { chains, view, control, sink, takeMade, names: recordedNames });
    guest?.finish();
    takeMade();
    if (replayed !== undefined) send({ type: 'replayed', ...replayed });
  }
  if (sink.closed) send({ type: 'outputClosed' });
  send({ type: 'done' });
} catch (error) {
  const { name, message } = error instanceof Error ? error : { name: 'Error', message: String(error) };
  send({ type: 'failed', name, message });
}
port.close();
