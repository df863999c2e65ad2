// Writes output bytes to an fd; gives up when the reader is gone, or slower than a stop may wait. Counts what became of
// the rows: those are delivered of which the reader has every byte.

import { isatty } from 'node:tty';
import type { ByteWriter } from '../output/byte-writer.js';
import type { Control } from './control.js';

/**
 * `pollMs`: how long a write may stay without progress before it looks at the stop flag. The others: how long a stop
 * waits for a reader that takes nothing, and for one that is slow.
 */
const READER = { pollMs: 100, stallMs: 500, slowMs: 900 };
/** Ctrl-C is to be answered within a second. */
const TERMINAL = { pollMs: 25, stallMs: 200, slowMs: 200 };
const NEWLINE = 0x0a;

/** What the sink needs of the system. */
export interface SinkPort {
  /** As `writeSome` of bpf/write.ts. */
  readonly write: (fd: number, bytes: Uint8Array, start: number, end: number, timeoutMs: number) => number;
  /** As `unreadBytes` of bpf/write.ts. */
  readonly unread: (fd: number) => number;
}

export class Sink {
  /** Nobody reads the output any more. */
  closed = false;
  /** Nothing more is written: something is missing by now. */
  ended = false;
  private readonly fd: number;
  private readonly control: Control;
  private readonly port: SinkPort;
  private readonly patience: typeof READER;
  private waitedMs = 0;
  private stalledMs = 0;

  constructor(fd: number, control: Control, port: SinkPort) {
    this.fd = fd;
    this.control = control;
    this.port = port;
    this.patience = isatty(fd) ? TERMINAL : READER;
  }

  /**
   * Writes all of `writer`, which holds so many rows, counts them, and empties it. While the reader stalls, the
   * kernel's ring fills and counts what it loses: memory stays bounded. Throws for other failures than a reader gone.
   */
  flush(writer: ByteWriter, rows: number): void {
    let taken = 0;
    let unread = 0;
    try {
      while (!this.ended && taken < writer.position) {
        const startMs = performance.now();
        const written = this.port.write(this.fd, writer.bytes, taken, writer.position, this.patience.pollMs);
        const isPart = taken > 0 || written < writer.position;
        taken += written;
        if (isPart && taken > 0) this.control.isMidLine = writer.bytes[taken - 1] !== NEWLINE;
        if (taken < writer.position && this.control.stopping) this.wait(written, performance.now() - startMs);
      }
    } catch (error) {
      this.ended = true;
      if ((error as { code?: string }).code !== 'EPIPE') throw error;
      this.closed = true;
      unread = this.port.unread(this.fd);
    } finally {
      const lost = writer.rowsWithin(writer.position - taken + unread);
      this.control.add('lostOutput', lost);
      this.control.add('delivered', rows - lost);
      writer.clear();
    }
  }

  /** Counts the time that the reader has a stop wait for it. */
  private wait(written: number, tookMs: number): void {
    this.waitedMs += tookMs;
    this.stalledMs = written > 0 ? 0 : this.stalledMs + tookMs;
    this.ended = this.waitedMs > this.patience.slowMs || this.stalledMs > this.patience.stallMs;
  }
}
