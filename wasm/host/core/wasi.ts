// The part of WASI that the start of a Go or Rust module needs, without any authority: no files, no arguments.
// https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md

import { randomFillSync } from 'node:crypto';
import { quoted } from '../errors.js';
import type { Context, HostFunctions } from './context.js';
import { LOG_LEVEL } from './services.js';

const SUCCESS = 0;
const EBADF = 8;
const EFAULT = 21;
const EINVAL = 28;
const ENOSYS = 52;

const STDERR = 2;
const FILETYPE_CHARACTER_DEVICE = 2;
const FDSTAT_SIZE = 24;
const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;

/** Sizes and places in `subscription` and `event` of poll_oneoff. */
const SUBSCRIPTION_SIZE = 48;
const TAG_AT = 8;
const TIMEOUT_AT = 24;
const EVENT_SIZE = 32;
const TAG_CLOCK = 0;
const MAX_SUBSCRIPTIONS = 64;
/** A module that sleeps keeps all events waiting. */
const MAX_SLEEP_MS = 10;

const MAX_LINE_BYTES = 1024;
const MAX_IOVECS = 1024;

const EPOCH_NS = BigInt(Math.round(performance.timeOrigin * 1000)) * 1000n;

/** `proc_exit` was called: the instance is over. */
class ExitError extends Error {}

/** The functions of module `wasi_snapshot_preview1` by their names; any other answers ENOSYS. */
export function wasiFunctions(context: Context): HostFunctions {
  const { memory, gadget } = context;
  const lines = new Lines((line) => gadget.services.log(LOG_LEVEL.warn, quoted(line)));
  const zeros = (a: number, b: number): number =>
    memory.setU32(a >>> 0, 0) && memory.setU32(b >>> 0, 0) ? SUCCESS : EFAULT;
  const nothing = (): number => SUCCESS;
  const badDescriptor = (): number => EBADF;

  return {
    args_get: nothing,
    args_sizes_get: zeros,
    environ_get: nothing,
    environ_sizes_get: zeros,
    sched_yield: nothing,
    fd_close: badDescriptor,
    fd_read: badDescriptor,
    fd_prestat_get: badDescriptor,
    fd_prestat_dir_name: badDescriptor,

    fd_fdstat_get: (fd: number, target: number): number => {
      if (fd >>> 0 > STDERR) return EBADF;
      const stat = memory.at(target >>> 0, FDSTAT_SIZE);
      if (stat === undefined) return EFAULT;
      stat.fill(0)[0] = FILETYPE_CHARACTER_DEVICE;
      return SUCCESS;
    },

    fd_write: (fd: number, vectors: number, count: number, written: number): number => {
      if (fd >>> 0 === 0 || fd >>> 0 > STDERR) return EBADF;
      if (count >>> 0 > MAX_IOVECS) return EINVAL;
      let size = 0;
      for (let i = 0; i < count; i++) {
        const vector = memory.at((vectors >>> 0) + i * 8, 8);
        if (vector === undefined) return EFAULT;
        const view = new DataView(vector.buffer, vector.byteOffset);
        const bytes = memory.at(view.getUint32(0, true), view.getUint32(4, true));
        if (bytes === undefined) return EFAULT;
        lines.write(bytes);
        size += bytes.length;
      }
      return memory.setU32(written >>> 0, size) ? SUCCESS : EFAULT;
    },

    clock_time_get: (clock: number, _precision: bigint, target: number): number => {
      if (clock !== CLOCK_REALTIME && clock !== CLOCK_MONOTONIC) return EINVAL;
      const ns = BigInt(Math.round(performance.now() * 1000)) * 1000n;
      return memory.setU64(target >>> 0, clock === CLOCK_REALTIME ? EPOCH_NS + ns : ns) ? SUCCESS : EFAULT;
    },

    clock_res_get: (_clock: number, target: number): number =>
      memory.setU64(target >>> 0, 1000n) ? SUCCESS : EFAULT,

    random_get: (target: number, size: number): number => {
      const bytes = memory.at(target >>> 0, size >>> 0);
      if (bytes === undefined) return EFAULT;
      randomFillSync(bytes);
      return SUCCESS;
    },

    poll_oneoff: (subscriptions: number, events: number, count: number, written: number): number => {
      if (count >>> 0 === 0 || count >>> 0 > MAX_SUBSCRIPTIONS) return EINVAL;
      const asked = memory.at(subscriptions >>> 0, count * SUBSCRIPTION_SIZE);
      const answer = memory.at(events >>> 0, count * EVENT_SIZE);
      if (asked === undefined || answer === undefined) return EFAULT;
      sleep(shortestTimeoutMs(asked, count));
      return memory.setU32(written >>> 0, answerClocks(asked, answer, count)) ? SUCCESS : EFAULT;
    },

    proc_exit: (status: number): never => {
      lines.end();
      throw new ExitError(`it ended with status ${status >>> 0}`);
    },
  };
}

/** Stands for the functions of WASI that a module imports without needing them. */
export function notImplemented(): number {
  return ENOSYS;
}

function shortestTimeoutMs(asked: Uint8Array, count: number): number {
  const view = new DataView(asked.buffer, asked.byteOffset);
  let shortest = MAX_SLEEP_MS;
  for (let at = 0; at < count * SUBSCRIPTION_SIZE; at += SUBSCRIPTION_SIZE) {
    if (asked[at + TAG_AT] !== TAG_CLOCK) continue;
    shortest = Math.min(shortest, Number(view.getBigUint64(at + TIMEOUT_AT, true)) / 1e6);
  }
  return shortest;
}

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Tells of every clock that its time is over: the module looks at the clock itself. Returns how many. */
function answerClocks(asked: Uint8Array, answer: Uint8Array, count: number): number {
  let answers = 0;
  for (let i = 0; i < count; i++) {
    const at = i * SUBSCRIPTION_SIZE;
    if (asked[at + TAG_AT] !== TAG_CLOCK) continue;
    const event = answer.subarray(answers * EVENT_SIZE, ++answers * EVENT_SIZE);
    event.fill(0);
    event.set(asked.subarray(at, at + 8)); // the module's name for it; no error, type clock
  }
  return answers;
}

/** Cuts what is written into lines. */
class Lines {
  private readonly put: (line: string) => void;
  private readonly bytes = new Uint8Array(MAX_LINE_BYTES);
  private length = 0;

  constructor(put: (line: string) => void) {
    this.put = put;
  }

  write(bytes: Uint8Array): void {
    for (const byte of bytes) {
      if (byte === 0x0a || this.length === MAX_LINE_BYTES) this.end();
      if (byte !== 0x0a) this.bytes[this.length++] = byte;
    }
  }

  end(): void {
    if (this.length > 0) this.put(new TextDecoder().decode(this.bytes.subarray(0, this.length)));
    this.length = 0;
  }
}
