// Shows how far a pull, a push or a build is, on stderr: bars on a terminal, else a line for each piece that is done.

import type { MultiBar, SingleBar } from 'cli-progress';
import type { Progress } from '../../../oci/target.js';
import { say } from '../fail.js';
import { sizeText } from './print.js';

/** The widest a bar gets, in characters. */
const MAX_BAR_WIDTH = 30;
/** What stands beside a bar. */
const TEXT_WIDTH = 52;
const TITLE_WIDTH = 26;

export interface ProgressReport extends Progress {
  /** Of all pieces so far, in bytes. */
  readonly totalBytes: number;
  /** Of those that were not there already. */
  readonly transferredBytes: number;
  /** Takes the bars away; to be called however it ended. */
  close(): void;
}

interface Piece {
  readonly title: string;
  readonly totalBytes: number;
  readonly isPresent: boolean;
  readonly bar?: SingleBar;
}

/** Begins to report. */
export async function openProgress(): Promise<ProgressReport> {
  if (!process.stderr.isTTY) return new Report();
  const { MultiBar } = await import('cli-progress');
  const barsize = Math.max(5, Math.min(MAX_BAR_WIDTH, process.stderr.columns - TEXT_WIDTH));
  const bars = new MultiBar({
    stream: process.stderr,
    barsize,
    // Cut what is too long, rather than turn wrapping off, which an interrupt would leave behind.
    linewrap: true,
    forceRedraw: true,
    clearOnComplete: true,
    format: (options, { progress, value, total }, { title }: { title: string }) => {
      // A step, such as a compilation: nobody knows how far it is.
      if (total === 0) return `${title} …`;
      const done = Math.round(barsize * Math.min(1, progress));
      const bar = '█'.repeat(done) + '░'.repeat(barsize - done);
      return `${title.slice(0, TITLE_WIDTH).padEnd(TITLE_WIDTH)} ${bar} ${sizeText(value)} / ${sizeText(total)}`;
    },
  });
  return new Report(bars);
}

class Report implements ProgressReport {
  readonly #bars: MultiBar | undefined;
  readonly #pieces = new Map<string, Piece>();
  totalBytes = 0;
  transferredBytes = 0;

  constructor(bars?: MultiBar) {
    this.#bars = bars;
  }

  begin(id: string, title: string, totalBytes: number, done = false): void {
    this.totalBytes += totalBytes;
    const bar = done ? undefined : this.#bars?.create(totalBytes, 0, { title });
    this.#pieces.set(id, { title, totalBytes, isPresent: done, ...(bar && { bar }) });
    // At once: a short step is over before the bars draw themselves.
    if (bar !== undefined) this.#bars?.update();
  }

  advance(id: string, bytes: number): void {
    this.transferredBytes += bytes;
    this.#pieces.get(id)?.bar?.increment(bytes);
  }

  end(id: string): void {
    const piece = this.#pieces.get(id);
    if (piece === undefined) return;
    const { title, totalBytes, isPresent, bar } = piece;
    const result = isPresent ? 'already there' : totalBytes > 0 ? sizeText(totalBytes) : 'done';
    const line = `${title}: ${result}`;
    if (this.#bars === undefined) {
      say(line);
      return;
    }
    this.#bars.log(`${line}\n`);
    if (bar !== undefined) this.#bars.remove(bar);
  }

  close(): void {
    this.#bars?.update();
    this.#bars?.stop();
  }
}
