// Has files hashed by a process of its own, and ends that when it hangs.

import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { FileToHash, HashOutcome } from './file.js';

/** Files that are asked for and not answered. */
const MAX_ASKED = 512;
/** How often the process is asked whether it lives, while it has something to do. */
const PING_MS = 1000;
/** Pings without an answer, until it is given up. It has the less urgent part of a busy machine. */
const MAX_UNANSWERED = 10;
/** Processes that were ended and hang on, in the kernel; no more are made until one of them is gone. */
const MAX_HANGING = 3;
/** A process that ends at once is not followed by another at once. */
const BETWEEN_STARTS_MS = 1000;

interface FromChild {
  readonly id: number;
  /** Left out in the answer to a ping, and when it has started. */
  readonly outcome?: HashOutcome;
}

export interface HasherOptions {
  /** What the process runs; for tests. */
  readonly program?: URL;
  readonly pingMs?: number;
}

export class FileHasher {
  private readonly program: string;
  private readonly pingMs: number;
  private readonly asked = new Map<number, (outcome: HashOutcome) => void>();
  private readonly hanging = new Set<ChildProcess>();
  private child: ChildProcess | undefined;
  private watchdog: NodeJS.Timeout | undefined;
  private hasStarted = false;
  private unanswered = 0;
  private lastId = 0;
  private nextStartMs = 0;

  /** Starts the process. */
  constructor({ program = new URL('child.js', import.meta.url), pingMs = PING_MS }: HasherOptions = {}) {
    this.program = fileURLToPath(program);
    this.pingMs = pingMs;
    this.start();
  }

  /** `answer` is called once, maybe at once; not at all after `close`. */
  ask(file: FileToHash, answer: (outcome: HashOutcome) => void): void {
    if (this.child === undefined) this.start();
    if (this.child === undefined || this.asked.size >= MAX_ASKED) return answer({ failure: 'busy' });
    const id = ++this.lastId;
    this.asked.set(id, answer);
    this.send({ id, file });
    this.watchdog ??= setInterval(() => this.watch(), this.pingMs).unref();
  }

  close(): void {
    clearInterval(this.watchdog);
    this.asked.clear();
    this.child?.removeAllListeners();
    this.child?.kill('SIGKILL');
    this.child = undefined;
  }

  private start(): void {
    const nowMs = performance.now();
    if (this.hanging.size >= MAX_HANGING || nowMs < this.nextStartMs) return;
    this.nextStartMs = nowMs + BETWEEN_STARTS_MS;
    const child = tryFork(this.program);
    if (child === undefined) return;
    child.unref();
    child.channel?.unref();
    child.on('message', (message) => this.hear(message as unknown as FromChild));
    const ended = (): void => {
      this.hanging.delete(child);
      if (this.child === child) this.giveUp();
    };
    child.on('exit', ended);
    child.on('error', ended);
    this.child = child;
    this.hasStarted = false;
  }

  private send(message: { id: number; file?: FileToHash }): void {
    // A child that has just died says so by its exit.
    this.child?.send(message, () => undefined);
  }

  private hear({ id, outcome }: FromChild): void {
    this.hasStarted = true;
    this.unanswered = 0;
    const answer = this.asked.get(id);
    if (outcome === undefined || answer === undefined) return;
    this.asked.delete(id);
    if (this.asked.size === 0) this.rest();
    answer(outcome);
  }

  private rest(): void {
    clearInterval(this.watchdog);
    this.watchdog = undefined;
    this.unanswered = 0;
  }

  private watch(): void {
    if (!this.hasStarted) return;
    if (this.unanswered < MAX_UNANSWERED) {
      this.unanswered++;
      this.send({ id: 0 });
    } else if (this.child !== undefined) {
      this.hanging.add(this.child);
      this.child.kill('SIGKILL');
      this.giveUp();
    }
  }

  /** Another process takes over with the next file. */
  private giveUp(): void {
    this.child = undefined;
    this.rest();
    const answers = [...this.asked.values()];
    this.asked.clear();
    for (const answer of answers) answer({ failure: 'busy' });
  }
}

/** Undefined where there is no memory for it, or no more files may be open. */
function tryFork(program: string): ChildProcess | undefined {
  try {
    const child = fork(program, [], {
      serialization: 'advanced',
      execArgv: [],
      // Ctrl-C in the terminal is not for it: the last events want their hashes.
      detached: true,
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    // Failures are told later, too.
    child.on('error', () => undefined);
    return child.channel ? child : undefined;
  } catch {
    return undefined;
  }
}
