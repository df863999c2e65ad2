// The built `ig` as a process: started, waited for until it traces, read, stopped.
//
//   const ig = await Ig.tracing(['run', 'trace_exec', '-o', 'json']); // nothing is missed from here on
//   await ig.until(() => ig.events().length > 0);
//   const { stdout, stderr, status } = await ig.stop();

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { temporaryDirectory } from './registry/images.js';
import { until } from './until.js';

export const IG = fileURLToPath(new URL('../dist/runtime/cli/ig.js', import.meta.url));

export interface IgOptions {
  /** A program that runs another in its place, with its arguments: `['unshare', '-m']`. */
  readonly inside?: readonly string[];
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** A descriptor to print to, instead of a file that is read here. */
  readonly stdout?: number;
}

export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

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
  readonly runtime?: Readonly<Record<string, string | number>>;
  readonly argv: readonly string[];
  readonly args: string;
  readonly args_truncated: boolean;
  readonly env?: readonly string[];
  readonly env_truncated?: boolean;
  readonly error: string;
  readonly error_raw: number;
  readonly ret: number;
  readonly filename: string;
  readonly cwd: string;
  readonly file: string;
  readonly file_sha256?: string;
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
  readonly cgroup_id: number;
}

/** An event of its data source `exit`. */
export interface ExitEvent {
  readonly proc: ExecEvent['proc'];
  readonly exit_code?: number;
  readonly signal?: string;
  readonly signal_raw?: number;
  readonly core_dumped: boolean;
  readonly duration: string;
  readonly duration_raw: number;
  readonly filename?: string;
}

export function isExit(event: object): event is ExitEvent {
  return 'duration_raw' in event;
}

/** What the last line of `ig -v` says. */
export interface Account {
  readonly delivered: number;
  readonly filtered: number;
  readonly lost: number;
  /** By cause; adds up to `lost`. */
  readonly causes: ReadonlyMap<string, number>;
}

export class Ig {
  readonly pid: number;
  private readonly child: ChildProcess;
  private readonly directory = temporaryDirectory();

  /** Starts it; it ends with the test at the latest. */
  static start(args: readonly string[], options: IgOptions = {}): Ig {
    const ig = new Ig(args, options);
    onTestFinished(() => ig.kill());
    return ig;
  }

  /** Starts it with -v and waits until its programs are attached. */
  static async tracing(args: readonly string[], options: IgOptions = {}): Promise<Ig> {
    const ig = Ig.start([...args, '-v'], options);
    await ig.until(() => /^Tracing\.$/m.test(ig.stderr), 'its programs to be attached');
    return ig;
  }

  /** The same without -v, for what it prints on stderr by itself: the kernel tells what is attached. */
  static async tracingQuietly(args: readonly string[], options: IgOptions = {}): Promise<Ig> {
    const ig = Ig.start(args, options);
    // Those of the gadget and of the tracker of containers.
    await ig.until(() => execHooks(ig.pid) >= 2, 'its programs to be attached');
    return ig;
  }

  private constructor(args: readonly string[], { inside = [], cwd, env, stdout }: IgOptions) {
    const [program, ...words] = [...inside, process.execPath, IG, ...args];
    const files = ['stdout', 'stderr'].map((name) => openSync(join(this.directory, name), 'w'));
    this.child = spawn(program!, words, {
      stdio: ['ignore', stdout ?? files[0]!, files[1]!],
      ...(cwd === undefined ? {} : { cwd }),
      env: { ...process.env, ...env },
    });
    files.forEach((file) => closeSync(file));
    this.pid = this.child.pid!;
  }

  /** What it has printed so far. */
  get stdout(): string {
    return readFileSync(join(this.directory, 'stdout'), 'utf8');
  }

  get stderr(): string {
    return readFileSync(join(this.directory, 'stderr'), 'utf8');
  }

  /** Events so far, in mode json. */
  events(): ExecEvent[] {
    const { stdout } = this;
    return parseEvents(stdout.slice(0, stdout.lastIndexOf('\n') + 1));
  }

  /** Waits until `condition` holds. Throws, with what it printed, when it ends before or does not come to it. */
  until(condition: () => boolean, what = 'what the test waits for'): Promise<void> {
    return this.wait(() => {
      const { ended } = this;
      const holds = condition();
      if (ended && !holds) throw new Error(`ig ended before ${what}`);
      return holds;
    }, what);
  }

  /** Stops it, by Ctrl-C unless told otherwise. */
  stop(signal: NodeJS.Signals = 'SIGINT'): Promise<Ended> {
    this.child.kill(signal);
    return this.end();
  }

  /** Waits until it ends by itself. Throws when it hangs. */
  async end(): Promise<Ended> {
    await this.wait(() => this.ended, 'the end of ig');
    const { exitCode: status, signalCode: signal } = this.child;
    return { status, signal, stdout: this.stdout, stderr: this.stderr };
  }

  private get ended(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  private async wait(holds: () => boolean, what: string): Promise<void> {
    try {
      await until(holds, what);
    } catch (cause) {
      const { stdout, stderr } = this;
      throw new Error(`${(cause as Error).message}\nstdout:\n${stdout}\nstderr:\n${stderr}`, { cause });
    }
  }

  private async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await until(() => this.ended, 'the death of ig');
  }
}

/** Runs `ig` to its end. */
export function runIg(args: readonly string[], options: IgOptions = {}): Promise<Ended> {
  return Ig.start(args, options).end();
}

/** Traces, with `-v -o json --host`, what `action` does. */
export async function trace<T>(
  args: readonly string[],
  action: () => Promise<T>,
): Promise<Ended & { events: ExecEvent[]; did: T }> {
  const ig = await Ig.tracing(['run', 'trace_exec', '--host', '-o', 'json', ...args]);
  const did = await action();
  const ended = await ig.stop();
  return { ...ended, events: parseEvents(ended.stdout), did };
}

export function parseEvents(stdout: string): ExecEvent[] {
  return parseLines(stdout);
}

/** Every line must be a JSON object. */
export function parseLines<Event>(stdout: string): Event[] {
  if (stdout !== '' && !stdout.endsWith('\n')) throw new Error('the output ends within a line');
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Event);
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

/** How many programs a process has attached that see each exec. */
function execHooks(pid: number): number {
  const directory = `/proc/${pid}/fdinfo`;
  try {
    return readdirSync(directory).filter((fd) => isExecHook(`${directory}/${fd}`)).length;
  } catch {
    return 0; // it has ended
  }
}

function isExecHook(fdinfo: string): boolean {
  try {
    return readFileSync(fdinfo, 'utf8').includes('tp_name:\tsched_process_exec');
  } catch {
    return false; // closed since
  }
}
