/** A consumer of a BPF ring buffer: whole batches into a reused buffer, for the worker of a pipeline. */
import { BpfError, isSystemError } from './errors.js';
import { native, type NativeRing } from './native.js';

export class RingReader {
  readonly sizeBytes: number;
  readonly #native: NativeRing;

  /**
   * Maps the ring of a map of type ringbuf. `fd` may belong to another thread's object and is not kept: the reader
   * holds its own duplicate. There must be one reader at a time; a new one goes on where the last stopped.
   */
  constructor(fd: number, ringSizeBytes: number) {
    if (!Number.isInteger(Math.log2(ringSizeBytes)) || ringSizeBytes < 4096 || ringSizeBytes > 2 ** 31)
      throw new BpfError(`A ring buffer's size is a power of two of 4096 or more, not ${ringSizeBytes}.`);
    this.sizeBytes = ringSizeBytes;
    const Native = native().RingReader;
    try {
      this.#native = new Native(fd, ringSizeBytes);
    } catch (cause) {
      if (!isSystemError(cause)) throw cause;
      throw new BpfError(`Cannot map the ring buffer of fd ${fd}: ${cause.message}.`, { cause });
    }
  }

  /** Records so far that no buffer passed to {@link drain} could have held, and which are gone. */
  get skipped(): number {
    return this.#native.skipped;
  }

  /** Bytes between consumer and producer, with headers, and with records the program has not committed yet. */
  availableBytes(): number {
    return this.produced - this.consumed;
  }

  /** Where the oldest record that was not drained begins, in bytes since the ring was made. */
  get consumed(): number {
    return this.#native.consumed;
  }

  /** Where the next record will begin. */
  get produced(): number {
    return this.#native.produced;
  }

  /**
   * Blocks the thread until there is something to drain or `timeoutMs` is over; a signal ends it early. True also
   * while the oldest record is reserved and not committed: a drain then yields nothing, for some microseconds.
   */
  wait(timeoutMs: number): boolean {
    return this.#native.wait(timeoutMs);
  }

  /**
   * Copies committed records, oldest first, into `buffer` from byte `recordsAt` on, and returns how many. Record `i`
   * starts at `offsets[i]` (from the start of `buffer`, a multiple of 8) and `offsets[count]` is where the last ends;
   * gaps are zero, and a record shorter than `minRecordSize` is continued with zeros. It stops at an uncommitted
   * record, at `offsets.length - 1` records, at a record that does not fit any more, which the next call brings, or at
   * position `end`, which was {@link produced} once. A record that would not fit an empty buffer is dropped and counted in {@link skipped}.
   */
  drain(
    buffer: Uint8Array,
    offsets: Uint32Array,
    recordsAt: number,
    minRecordSize: number,
    end = Number.MAX_SAFE_INTEGER,
  ): number {
    if (offsets.length < 2 || recordsAt % 8 !== 0 || !(recordsAt >= 0 && recordsAt <= buffer.length))
      throw new BpfError(`A drain needs two offsets or more and a start within the buffer, a multiple of 8.`);
    return this.#native.drain(buffer, offsets, recordsAt, minRecordSize, end);
  }

  /** Drops all committed records; returns how many there were. */
  discardAll(): number {
    const buffer = new Uint8Array(4096);
    const offsets = new Uint32Array(buffer.length / 8 + 1);
    const skipped = this.skipped;
    let count = 0;
    for (let before = -1; before < this.consumed;) {
      before = this.consumed;
      count += this.drain(buffer, offsets, 0, 0);
    }
    return count + this.skipped - skipped;
  }

  /** Unmaps the ring; what it holds stays for the next reader. */
  close(): void {
    this.#native.close();
  }
}
