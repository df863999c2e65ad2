// The built `ig` as a process: started, waited for until it traces, read, stopped.
//
//   const ig = Ig.start(['run', 'trace_exec', '-o', 'json']);
//   await ig.tracing();                              // programs are attached: nothing is missed from here on
//   await ig.until(() => ig.events().length > 0);
//   const { stdout, stderr, status } = await ig.stop();

import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

export const IG = fileURLToPath(new URL('../../dist/runtime/cli/ig.js', import.meta.url));

const WAIT_MS = 20_000;
const POLL_MS = 20;

export interface IgOptions {
  /** A program that runs another in its place, with its arguments: `['unshare', '-m']`. */
  readonly inside?: readonly string[];
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** An event in mode json. */
export interface IgEvent {
  readonly args: string;
  readonly command: string;
  readonly cwd?: string;
  readonly exepath?: string;
  readonly ret: number;
  readonly proc: { readonly comm: string; readonly pid: number; readonly mntns_id: number };
  readonly runtime?: Readonly<Record<string, string | number>>;
}

export class Ig {
  stdout = '';
  stderr = '';
  private readonly child: ChildProcess;
  private readonly ended: Promise<Ended>;

  /** Starts it; it ends with the test at the latest. */
  static start(args: readonly string[], options: IgOptions = {}): Ig {
    const ig = new Ig(args, options);
    onTestFinished(() => ig.kill());
    return ig;
  }

  private constructor(args: readonly string[], { inside = [], cwd, env }: IgOptions) {
    const [program, ...words] = [...inside, process.execPath, IG, ...args];
    this.child = spawn(program!, words, {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(cwd === undefined ? {} : { cwd }),
      env: { ...process.env, ...env },
    });
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.ended = new Promise((resolve) => {
      this.child.once('close', (status, signal) => {
        resolve({ status, signal, stdout: this.stdout, stderr: this.stderr });
      });
    });
  }

  /** Events so far, in mode json. */
  events(): IgEvent[] {
    const whole = this.stdout.slice(0, this.stdout.lastIndexOf('\n') + 1);
    return whole
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as IgEvent);
  }

  /** Waits until the gadget's program is attached, beside the tracker of containers. */
  tracing(): Promise<void> {
    return this.until(() => this.execHooks() >= 2, 'its programs to be attached');
  }

  /** Waits until `condition` holds. Throws, with what it printed, when it ends before or does not come to it. */
  async until(condition: () => boolean, what = 'what the test waits for', limitMs = WAIT_MS): Promise<void> {
    const deadlineMs = Date.now() + limitMs;
    while (!condition()) {
      const ended = this.child.exitCode !== null || this.child.signalCode !== null;
      if (ended || Date.now() > deadlineMs) {
        const state = ended ? 'ended before' : 'does not come to';
        throw new Error(`ig ${state} ${what}.\nstdout:\n${this.stdout}\nstderr:\n${this.stderr}`);
      }
      await sleep(POLL_MS);
    }
  }

  /** Ctrl-C. */
  stop(limitMs = WAIT_MS): Promise<Ended> {
    this.child.kill('SIGINT');
    return this.end(limitMs);
  }

  /** Waits until it ends by itself. Throws when it hangs. */
  async end(limitMs = WAIT_MS): Promise<Ended> {
    const ended = await Promise.race([this.ended, sleep(limitMs, undefined, { ref: false })]);
    if (ended !== undefined) return ended;
    await this.kill();
    throw new Error(`ig hangs.\nstdout:\n${this.stdout}\nstderr:\n${this.stderr}`);
  }

  private async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }

  private execHooks(): number {
    const directory = `/proc/${this.child.pid}/fdinfo`;
    if (!existsSync(directory)) return 0;
    return readdirSync(directory).filter((fd) => {
      try {
        return readFileSync(`${directory}/${fd}`, 'utf8').includes('tp_name:\tsched_process_exec');
      } catch {
        return false;
      }
    }).length;
  }
}

/** Runs `ig` to its end. */
export function runIg(args: readonly string[], options: IgOptions = {}): Promise<Ended> {
  return Ig.start(args, options).end();
}
