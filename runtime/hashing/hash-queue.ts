// Hashes files a piece at a time, those first that are soon done, so that a few large ones keep nobody waiting.

import { createHash, type Hash } from 'node:crypto';
import { closeSync, readSync } from 'node:fs';
import type { FileToHash, HashOutcome } from './file.js';
import { type FileState, isUnchanged, openFile } from './open-file.js';

/** Files that are open at a time. */
export const MAX_OPEN_FILES = 64;
const PIECE_BYTES = 1 << 20;
/**
 * Changes within one tick of the kernel's clock (10 ms at most) give the same ctime. What is read of a file that
 * changed less than two ticks ago might not be what that ctime will stand for.
 */
const SETTLE_MS = 20;

type Answer = (outcome: HashOutcome) => void;

interface Job {
  readonly fd: number;
  readonly state: FileState;
  readonly hash: Hash;
  readonly fromMs: number;
  readonly answer: Answer;
  doneBytes: number;
}

export class HashQueue {
  private readonly piece = Buffer.allocUnsafe(PIECE_BYTES);
  private readonly jobs = new Set<Job>();
  private timer: NodeJS.Timeout | undefined;
  private isRunning = false;

  /** Opens the file at once, as it may soon be gone; `answer` is called once, maybe at once. */
  add(file: FileToHash, answer: Answer): void {
    const opened = openFile(file);
    if (typeof opened === 'string') return answer({ failure: opened });
    const ctimeMs = Number(opened.state.ctimeNs / 1_000_000n);
    // A ctime of the future, of a clock that was set back, no change of today will have.
    const isFresh = Math.abs(Date.now() - ctimeMs) < SETTLE_MS;
    const fromMs = performance.now() + (isFresh ? SETTLE_MS : 0);
    this.jobs.add({ ...opened, hash: createHash('sha256'), fromMs, answer, doneBytes: 0 });
    if (this.jobs.size > MAX_OPEN_FILES) this.dropLargest();
    this.run();
  }

  private dropLargest(): void {
    let largest: Job | undefined;
    for (const job of this.jobs) if (remaining(job) >= remaining(largest)) largest = job;
    if (largest !== undefined) this.end(largest, { failure: 'busy' });
  }

  private run(): void {
    if (this.isRunning) return;
    clearTimeout(this.timer);
    const nowMs = performance.now();
    let next: Job | undefined;
    let fromMs = Infinity;
    for (const job of this.jobs) {
      if (job.fromMs > nowMs) fromMs = Math.min(fromMs, job.fromMs);
      else if (next === undefined || remaining(job) < remaining(next)) next = job;
    }
    if (next !== undefined) {
      this.isRunning = true;
      // Requests that came meanwhile go first: they open files.
      setImmediate(() => {
        this.isRunning = false;
        if (this.jobs.has(next)) this.readPiece(next);
        this.run();
      });
    } else if (fromMs < Infinity) this.timer = setTimeout(() => this.run(), Math.ceil(fromMs - nowMs));
  }

  private readPiece(job: Job): void {
    try {
      const count = readSync(job.fd, this.piece, 0, PIECE_BYTES, job.doneBytes);
      job.hash.update(this.piece.subarray(0, count));
      job.doneBytes += count;
      if (count > 0 && job.doneBytes <= job.state.sizeBytes) return;
      // Whole, and nobody changed it meanwhile.
      const isWhole = job.doneBytes === job.state.sizeBytes && isUnchanged(job.fd, job.state);
      this.end(job, isWhole ? { sha256: job.hash.digest('hex') } : { failure: 'gone' });
    } catch {
      this.end(job, { failure: 'gone' });
    }
  }

  private end(job: Job, outcome: HashOutcome): void {
    this.jobs.delete(job);
    closeSync(job.fd);
    job.answer(outcome);
  }
}

function remaining(job: Job | undefined): number {
  return job === undefined ? -1 : job.state.sizeBytes - job.doneBytes;
}
