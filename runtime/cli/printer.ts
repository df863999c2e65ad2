// Prints to stdout while the rest of the program goes on, whether the reader is slow, takes nothing, or is gone.

import { setTimeout as sleep } from 'node:timers/promises';
import { writeSome } from '../../bpf/write.js';

/** How often a reader that takes nothing is tried again. */
const RETRY_MS = 50;
/** How long an end waits for such a reader. */
const END_PATIENCE_MS = 500;
/** More is not kept for it. */
const MAX_WAITING_BYTES = 64 << 20;

export class Printer {
  readonly #onFailed: (reason: 'closed' | Error) => void;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #printing: Promise<void> = Promise.resolve();
  #over = false;

  /** `onFailed` is told once when nothing more can be printed: `closed` when nobody reads any more. */
  constructor(onFailed: (reason: 'closed' | Error) => void) {
    this.#onFailed = onFailed;
  }

  print(text: string): void {
    if (this.#over || text === '') return;
    const bytes = Buffer.from(text);
    if (this.#waitingBytes + bytes.length > MAX_WAITING_BYTES) {
      this.#fail(new Error('the output is not read, and too much of it waits'));
      return;
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#waiting.length === 1) this.#printing = this.#printAll();
  }

  /** Resolves when all is printed that can be. */
  done(): Promise<void> {
    return this.#printing;
  }

  /** The same, but waits no longer for a reader than a user does. */
  async end(): Promise<void> {
    const patience = new AbortController();
    const outOfPatience = sleep(END_PATIENCE_MS, undefined, { signal: patience.signal });
    await Promise.race([this.#printing, outOfPatience]);
    patience.abort();
    await outOfPatience.catch(() => undefined);
    this.#over = true;
  }

  /** Never rejects. */
  async #printAll(): Promise<void> {
    try {
      for (let bytes = this.#waiting[0]; bytes !== undefined && !this.#over; bytes = this.#waiting[0]) {
        const count = writeSome(1, bytes, 0, bytes.length, 0);
        this.#waitingBytes -= count;
        if (count === bytes.length) this.#waiting.shift();
        else this.#waiting[0] = bytes.subarray(count);
        if (count === 0) await sleep(RETRY_MS);
      }
    } catch (error) {
      this.#fail((error as { code?: string }).code === 'EPIPE' ? 'closed' : (error as Error));
    }
  }

  #fail(reason: 'closed' | Error): void {
    this.#over = true;
    this.#waiting = [];
    this.#onFailed(reason);
  }
}
