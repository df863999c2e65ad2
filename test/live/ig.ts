// Runs the built product, dist/runtime/cli/ig.js, as a user does: on a file, a pipe or a terminal.

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

export const IG = fileURLToPath(new URL('../../dist/runtime/cli/ig.js', import.meta.url));

/** Bounds of the waiting for what must come; generous, as machines are slow at times. */
const START_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 30_000;
const POLL_MS = 20;

/** An event of trace_exec as `-o json` prints it. Absent fields are those not known. */
export interface ExecEvent {
  readonly timestamp: string;
  readonly proc: {
    readonly comm: string;
    readonly pid: number;
    readonly tid: number;
    readonly mntns_id: number;
    readonly creds: {
      readonly uid: number;
      readonly gid: number;
      readonly user: string;
      readonly group: string;
    };
    readonly parent: { readonly comm: string; readonly pid: number; readonly tid: number };
  };
  readonly argv: readonly string[];
  readonly args: string;
  readonly args_truncated: boolean;
  readonly command: string;
  readonly error: string;
  readonly error_raw: number;
  readonly ret: number;
  readonly filename: string;
  readonly cwd: string;
  readonly file: string;
  readonly exepath: string;
  readonly parent_exepath: string;
  readonly dev_major?: number;
  readonly dev_minor?: number;
  readonly inode?: number;
  readonly upper_layer?: boolean;
  readonly fupper_layer?: boolean;
  readonly pupper_layer?: boolean;
  readonly tty: number;
  readonly tty_major: number;
  readonly tty_minor: number;
}

export interface Result {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | null;
}

/** What the last line of `ig -v` says. */
export interface Account {
  readonly delivered: number;
  readonly filtered: number;
  readonly lost: number;
  /** By cause; adds up to `lost`. */
  readonly causes: ReadonlyMap<string, number>;
}

/** Runs a command that ends by itself. */
export function ig(...args: string[]): Result {
  return spawnSync(process.execPath, [IG, ...args], { encoding: 'utf8' });
}

/** A running `ig run trace_exec`. */
export class Tracing {
  readonly pid: number;
  private readonly child: ChildProcess;
  private readonly directory = mkdtempSync(join(tmpdir(), 'ig-run-'));
  private readonly exited: Promise<number | null>;

  /**
   * Starts `ig run trace_exec ARGS` and waits until its programs are attached. `stdout` is a file's fd. It ends
   * with the test at the latest.
   */
  static async start(args: readonly string[], stdout?: number): Promise<Tracing> {
    const tracing = new Tracing(args, stdout);
    onTestFinished(() => tracing.discard());
    await tracing.attached(args.includes('--ignore-failed=false'));
    return tracing;
  }

  private constructor(args: readonly string[], stdout: number | undefined) {
    const out = stdout ?? openSync(join(this.directory, 'stdout'), 'w');
    const err = openSync(join(this.directory, 'stderr'), 'w');
    this.child = spawn(process.execPath, [IG, 'run', 'trace_exec', ...args], { stdio: ['ignore', out, err] });
    this.pid = this.child.pid!;
    closeSync(err);
    if (stdout === undefined) closeSync(out);
    this.exited = new Promise((resolve) => this.child.on('exit', resolve));
  }

  /** Nothing that `ig` prints with -o json says that it traces: the kernel does. */
  private async attached(withFailures: boolean): Promise<void> {
    const wanted = ['ig_sched_exec'];
    if (withFailures) wanted.push('ig_execve_e', 'ig_execve_x', 'ig_execveat_e', 'ig_execveat_x');
    await until('the programs are attached', () => {
      if (this.child.exitCode !== null) throw new Error(`ig ended at once: ${this.read('stderr')}`);
      const attached = attachedPrograms(this.pid);
      return wanted.every((name) => attached.has(name));
    });
  }

  /** What it has printed so far, unless it prints to a file of the test's own. */
  output(): string {
    return this.read('stdout');
  }

  private read(name: string): string {
    return readFileIfThere(join(this.directory, name));
  }

  /** Stops it and returns all it printed. Throws when it does not end. */
  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<Result> {
    this.child.kill(signal);
    return this.end();
  }

  /** Waits for it to end by itself. */
  async end(): Promise<Result> {
    const limit = new AbortController();
    const status = await Promise.race([
      this.exited,
      sleep(STOP_LIMIT_MS, 'limit' as const, { signal: limit.signal }),
    ]);
    limit.abort();
    const [stdout, stderr] = [this.read('stdout'), this.read('stderr')];
    if (status === 'limit') throw new Error(`ig did not end within ${STOP_LIMIT_MS} ms; stderr: ${stderr}`);
    return { stdout, stderr, status };
  }

  private discard(): void {
    this.child.kill('SIGKILL');
    rmSync(this.directory, { recursive: true });
  }
}

/** Traces, with `-o json --host`, what `action` does. */
export async function trace<T>(
  args: readonly string[],
  action: () => Promise<T>,
): Promise<Result & { events: ExecEvent[]; did: T }> {
  const tracing = await Tracing.start(['--host', '-o', 'json', ...args]);
  const did = await action();
  const result = await tracing.stop();
  return { ...result, events: parseEvents(result.stdout), did };
}

/** Every line must be a JSON object. */
export function parseEvents(stdout: string): ExecEvent[] {
  if (stdout !== '' && !stdout.endsWith('\n')) throw new Error('the output ends within a line');
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as ExecEvent);
}

export function parseAccount(stderr: string): Account {
  const match = /^(\d+) events delivered(?:, (\d+) filtered out)?, (\d+) lost(?: \((.*)\))?$/m.exec(stderr);
  if (match === null) throw new Error(`no account in: ${stderr}`);
  const causes = (match[4] ?? '').split(', ').filter((cause) => cause !== '');
  return {
    delivered: Number(match[1]),
    filtered: Number(match[2] ?? 0),
    lost: Number(match[3]),
    causes: new Map(
      causes.map((cause) => {
        const space = cause.indexOf(' ');
        return [cause.slice(space + 1), Number(cause.slice(0, space))];
      }),
    ),
  };
}

/** Names of the eBPF programs that a process has attached. */
function attachedPrograms(pid: number): Set<string> {
  const ids = new Set<number>();
  for (const fd of readdirSync(`/proc/${pid}/fdinfo`)) {
    const info = readFileIfThere(`/proc/${pid}/fdinfo/${fd}`);
    if (info.includes('link_type:')) ids.add(Number(/^prog_id:\s*(\d+)/m.exec(info)?.[1]));
  }
  if (ids.size === 0) return new Set();
  const programs = JSON.parse(execFileSync('bpftool', ['-j', 'prog', 'show'], { encoding: 'utf8' })) as {
    id: number;
    name?: string;
  }[];
  return new Set(programs.filter(({ id }) => ids.has(id)).map(({ name }) => name ?? ''));
}

function readFileIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Waits for something that must happen. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + START_LIMIT_MS;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await sleep(POLL_MS);
  }
}

/** A command on a terminal of its own, made by script(1). It ends with the test at the latest. */
export class Terminal {
  private readonly child: ChildProcess;
  private readonly chunks: Buffer[] = [];
  private readonly exited: Promise<number | null>;

  constructor(columns: number, args: readonly string[]) {
    const words = [process.execPath, IG, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
    const command = `stty cols ${columns} rows 24 -echo; exec ${words.join(' ')}`;
    this.child = spawn('script', ['-qfec', command, '/dev/null'], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, SHELL: '/bin/sh' },
    });
    this.child.stdout!.on('data', (chunk: Buffer) => this.chunks.push(chunk));
    this.exited = new Promise((resolve) => this.child.on('close', resolve));
    onTestFinished(() => void this.child.kill());
  }

  /** All that came to the terminal so far, errors too, byte by byte in latin1. */
  raw(): string {
    return Buffer.concat(this.chunks).toString('latin1');
  }

  /** The complete lines so far. */
  lines(): string[] {
    return Buffer.concat(this.chunks).toString().split('\r\n').slice(0, -1);
  }

  /** Waits for a line. */
  async line(pattern: RegExp): Promise<string> {
    await until(`the terminal shows ${pattern.source}`, () =>
      this.lines().some((line) => pattern.test(line)),
    );
    return this.lines().find((line) => pattern.test(line))!;
  }

  /** Repeats `attempt` until it succeeds. */
  async eventually(attempt: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + START_LIMIT_MS;
    while (!(await attempt()))
      if (Date.now() > deadline) throw new Error(`in vain; the terminal: ${this.raw()}`);
  }

  /** As if the user made the window larger or smaller. */
  resize(columns: number): void {
    const pid = readFileSync(`/proc/${this.child.pid!}/task/${this.child.pid!}/children`, 'utf8').trim();
    execFileSync('stty', ['-F', readlinkSync(`/proc/${pid}/fd/0`), 'cols', String(columns)]);
  }

  /** Ctrl-C; returns the exit status. */
  async interrupt(): Promise<number | null> {
    this.child.stdin!.write('\x03');
    const status = await this.exited;
    this.child.stdin!.destroy();
    return status;
  }
}
