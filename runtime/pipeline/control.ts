// Memory that the main thread and a pipeline's worker share: the stop flag, the guest's heartbeat, the counters.

import { HASH_FAILURES, type HashFailure } from '../hashing/file.js';

const STOP = 0;
const GUEST_SEQUENCE = 1;
const GUEST_MODULE = 2;
const SWAPPING = 3;
const CONDEMNED = 4;
const MID_LINE = 5;
const COUNTERS_AT_BYTES = 64;

/** What became of records; `read = delivered + filtered + lost*`, once the worker is done. */
export const COUNTERS = [
  'read',
  'delivered',
  'filtered',
  /** In a batch that the Wasm module failed on or was stopped in. */
  'lostGuest',
  /** Waiting for the name of their container when there was no room, or no name in time. */
  'lostUnnamed',
  /** Formatted, but the reader of the output did not take them. */
  'lostOutput',
  /** Larger than any batch. */
  'lostTooLarge',
  /** Neither the worker that failed nor another has got to them. */
  'lostAtEnd',
] as const;

/** Places behind the counters. */
const RECORDED = COUNTERS.length;
const MADE = COUNTERS.length + 1;
const UNHASHED = COUNTERS.length + 2;
const PLACES = UNHASHED + HASH_FAILURES.length;

export type Counter = (typeof COUNTERS)[number];
export type Counts = Record<Counter, number>;

/** A view on the shared memory. Each counter has one writer at a time: the worker, or the main thread once it is dead. */
export class Control {
  readonly memory: SharedArrayBuffer;
  private readonly flags: Int32Array;
  private readonly counters: Float64Array;

  constructor(memory = new SharedArrayBuffer(COUNTERS_AT_BYTES + PLACES * 8)) {
    this.memory = memory;
    this.flags = new Int32Array(memory, 0, COUNTERS_AT_BYTES / 4);
    this.counters = new Float64Array(memory, COUNTERS_AT_BYTES);
  }

  /** Asks the worker to finish; wakes it if it sleeps. */
  stop(): void {
    Atomics.store(this.flags, STOP, 1);
    Atomics.notify(this.flags, STOP);
  }

  get stopping(): boolean {
    return Atomics.load(this.flags, STOP) === 1;
  }

  /** Sleeps, or returns at once when the worker is to stop. */
  sleep(timeoutMs: number): void {
    Atomics.wait(this.flags, STOP, 0, timeoutMs);
  }

  add(counter: Counter, count: number): void {
    const index = COUNTERS.indexOf(counter);
    this.counters[index] = this.counters[index]! + count;
  }

  counts(): Counts {
    return Object.fromEntries(COUNTERS.map((name, index) => [name, this.counters[index]!])) as Counts;
  }

  /** Whether the last that was written is the beginning of a line, of which the rest waits for the reader. */
  get isMidLine(): boolean {
    return Atomics.load(this.flags, MID_LINE) === 1;
  }

  set isMidLine(value: boolean) {
    Atomics.store(this.flags, MID_LINE, value ? 1 : 0);
  }

  /** Counts records that are in the recording; what else becomes of them is another matter. */
  addRecorded(count: number): void {
    this.counters[RECORDED] = this.recorded + count;
  }

  get recorded(): number {
    return this.counters[RECORDED]!;
  }

  /** Counts records that Wasm modules made: they are read, too, and were never in the kernel. */
  addMade(count: number): void {
    this.add('read', count);
    this.counters[MADE] = this.made + count;
  }

  get made(): number {
    return this.counters[MADE]!;
  }

  /** Counts an event that is shown without the hash of its file. */
  addUnhashed(failure: HashFailure): void {
    const place = UNHASHED + HASH_FAILURES.indexOf(failure);
    this.counters[place] = this.counters[place]! + 1;
  }

  get unhashed(): Record<HashFailure, number> {
    const counts = HASH_FAILURES.map((failure, i) => [failure, this.counters[UNHASHED + i]!]);
    return Object.fromEntries(counts) as Record<HashFailure, number>;
  }

  /** Counts what a dead worker had read and not finished with. */
  settle(counter: Counter): void {
    const { read, ...fates } = this.counts();
    this.add(counter, read - Object.values(fates).reduce((sum, count) => sum + count, 0));
  }

  /** The worker goes into Wasm module number `module`. */
  enterGuest(module: number): void {
    Atomics.store(this.flags, GUEST_MODULE, module);
    Atomics.add(this.flags, GUEST_SEQUENCE, 1);
  }

  /** Does not return to a worker that is condemned: what it was doing is lost, as is said by then. */
  leaveGuest(): void {
    Atomics.add(this.flags, GUEST_SEQUENCE, 1);
    Atomics.wait(this.flags, CONDEMNED, 1);
  }

  /**
   * Makes sure that a worker that is in the guest, for that visit, does not come out of it before it is terminated.
   * False when it has come out.
   */
  condemn(visit: number): boolean {
    Atomics.store(this.flags, CONDEMNED, 1);
    if (visit % 2 === 1 && this.guestSequence === visit) return true;
    this.pardon();
    return false;
  }

  /** Whether what the worker, which is dead, had read and not finished with is lost for a module's sake. */
  get isLostInGuest(): boolean {
    return this.guestSequence % 2 === 1 || Atomics.load(this.flags, CONDEMNED) === 1;
  }

  private pardon(): void {
    Atomics.store(this.flags, CONDEMNED, 0);
    Atomics.notify(this.flags, CONDEMNED);
  }

  /** The worker is dead, so it is in no module. */
  abandonGuest(): void {
    if (this.guestSequence % 2 === 1) Atomics.add(this.flags, GUEST_SEQUENCE, 1);
    this.pardon();
    this.isStartingOthers = false;
  }

  /** Whether the modules that the worker is in are to take the place of those that run. */
  get isStartingOthers(): boolean {
    return Atomics.load(this.flags, SWAPPING) === 1;
  }

  set isStartingOthers(value: boolean) {
    Atomics.store(this.flags, SWAPPING, value ? 1 : 0);
  }

  /** The module that the worker is in, or was in last. */
  get guestModule(): number {
    return Atomics.load(this.flags, GUEST_MODULE);
  }

  /** Odd while the worker is in the guest; another number for every visit. */
  get guestSequence(): number {
    return Atomics.load(this.flags, GUEST_SEQUENCE);
  }
}
