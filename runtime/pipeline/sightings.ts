// Keeps events from overtaking the news of whose they are: the tracker sees a new mount namespace before any gadget
// does, but in another thread.

import { RingReader } from '../../bpf/ring.js';

/** How the tracker of containers and a worker keep in step. */
export interface Sightings {
  /** The tracker's ring buffer, which the main thread reads. */
  readonly fd: number;
  readonly sizeBytes: number;
  /** How much of it the main thread takes at once. */
  readonly batchBytes: number;
  /**
   * Two Int32: one that is odd while the main thread turns what it has read into changes of the table, and how many
   * bytes of the ring it is done with, modulo 2^32.
   */
  readonly progress: SharedArrayBuffer;
}

/** A main thread that is busy for longer is not waited for: events go on with what is known. */
const PATIENCE_MS = 200;
const LOOK_AGAIN_MS = 5;

export class SightingGate {
  readonly #ring: RingReader;
  readonly #progress: Int32Array;
  readonly #batchBytes: number;
  readonly #ask: () => void;
  readonly #hear: () => void;

  /** `ask` has the main thread read the ring now; `hear` takes over what it has sent. */
  constructor(sightings: Sightings, ask: () => void, hear: () => void) {
    this.#ring = new RingReader(sightings.fd, sightings.sizeBytes);
    this.#progress = new Int32Array(sightings.progress);
    this.#batchBytes = sightings.batchBytes;
    this.#ask = ask;
    this.#hear = hear;
  }

  /** Blocks until the copy of the table knows of every namespace that has been sighted before this call. */
  pass(): void {
    if (!this.#isEmpty()) this.#wait();
    this.#hear();
  }

  close(): void {
    this.#ring.close();
  }

  #wait(): void {
    const endMs = performance.now() + PATIENCE_MS;
    const lastByte = this.#lastByte();
    this.#ask();
    do {
      const sequence = Atomics.load(this.#progress, 0);
      if (this.#isEmpty() || ((Atomics.load(this.#progress, 1) - lastByte) | 0) >= 0) return;
      Atomics.wait(this.#progress, 0, sequence, LOOK_AGAIN_MS);
    } while (performance.now() < endMs);
  }

  /** Where in the ring the last sighting until now ends, or a little further: more may come all the time. */
  #lastByte(): number {
    const waiting = this.#ring.availableBytes();
    const isReading = Atomics.load(this.#progress, 0) % 2 !== 0;
    return (Atomics.load(this.#progress, 1) + waiting + (isReading ? this.#batchBytes : 0)) | 0;
  }

  /** First the ring, then the sequence: what has left the ring has the sequence odd until it is told. */
  #isEmpty(): boolean {
    return this.#ring.availableBytes() === 0 && Atomics.load(this.#progress, 0) % 2 === 0;
  }
}
