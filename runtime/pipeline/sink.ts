// Writes output bytes to an fd; gives up when the reader is gone, or slower than a stop may wait.

import type { ByteWriter } from '../output/byte-writer.js';
import type { Control } from './control.js';

/** How long a write may stay without progress before it looks at the stop flag. */
const POLL_MS = 100;
/** How long a stop waits for a reader that takes nothing. */
const STOP_PATIENCE_MS = 500;

/** As `writeSome` of bpf/write.ts. */
export type WriteSome = (
  fd: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  timeoutMs: number,
) => number;

export class Sink {
  /** Nobody reads the output any more. */
  closed = false;
  private readonly fd: number;
  private readonly control: Control;
  private readonly write: WriteSome;
  private stalledSince: number | undefined;

  constructor(fd: number, control: Control, write: WriteSome) {
    this.fd = fd;
    this.control = control;
    this.write = write;
  }

  /**
   * Writes all of `writer` and empties it; false when it could not. While the reader stalls, the kernel's ring
   * fills and counts what it loses: memory stays bounded. Throws for other failures than a reader gone.
   */
  flush(writer: ByteWriter): boolean {
    let start = 0;
    try {
      while (!this.closed && start < writer.position) {
        const written = this.write(this.fd, writer.bytes, start, writer.position, POLL_MS);
        start += written;
        if (written === 0 && this.outOfPatience()) break;
        if (written > 0) this.stalledSince = undefined;
      }
    } catch (error) {
      if ((error as { code?: string }).code !== 'EPIPE') throw error;
      this.closed = true;
    }
    const complete = start >= writer.position;
    writer.position = 0;
    return complete;
  }

  private outOfPatience(): boolean {
    if (!this.control.stopping) return false;
    this.stalledSince ??= performance.now();
    return performance.now() - this.stalledSince > STOP_PATIENCE_MS;
  }
}
