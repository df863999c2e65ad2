// Builds the C programs of the live tests, and starts programs with exactly the arguments that a test wants.

import { type ChildProcess, type SpawnOptions, execFileSync, spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findClang } from './compile.js';

export interface Programs {
  /** Where they lie; tests may put their own files there. Open to all users. */
  readonly directory: string;
  readonly tiny: string;
  readonly launch: string;
  readonly burst: string;
  readonly races: string;
  readonly stalled: string;
  readonly stay: string;
  /** The same for 32 bits, on x86 only. */
  readonly stay32: string;
  readonly exec32: string;
  readonly endings: string;
  readonly vectors: string;
  readonly calls: string;
  /** A copy of `tiny` with another name, and thereby another comm. */
  tinyAs(name: string): string;
  remove(): void;
}

/** Without a C library. */
const BARE = ['-nostdlib', '-ffreestanding', '-fno-stack-protector'];
const FOR_32_BITS = ['-target', 'i386-linux-gnu', '-fno-pie'];

/** How programs/launch.c executes a file. */
export type Way =
  | 'path'
  | 'thread'
  | 'dirfd'
  | 'fd'
  | 'memfd'
  | 'deleted'
  | 'fexecve'
  | 'link'
  | 'busy'
  | 'badpath'
  | 'badargv'
  | 'badarg'
  | 'noargv';

/** Compiles test/live/programs/*.c into a directory of its own. */
export function buildPrograms(): Programs {
  const directory = mkdtempSync(join(tmpdir(), 'ig-live-'));
  execFileSync('chmod', ['755', directory]);
  /** Each when it is first asked for. */
  const built = new Set<string>();
  const build = (name: string, source: string, ...flags: string[]): string => {
    const output = join(directory, name);
    if (!built.has(name)) buildProgram(source, output, ...flags);
    built.add(name);
    return output;
  };
  const tiny = build('tiny', 'tiny', ...BARE);
  return {
    directory,
    tiny,
    get launch() {
      return build('launch', 'launch', '-pthread');
    },
    get burst() {
      return build('burst', 'burst');
    },
    get races() {
      return build('races', 'races', '-pthread');
    },
    get stalled() {
      return build('stalled', 'stalled');
    },
    get stay() {
      return build('stay', 'stay', ...BARE);
    },
    get stay32() {
      return build('stay32', 'stay', ...BARE, ...FOR_32_BITS);
    },
    get exec32() {
      return build('exec32', 'exec32', ...BARE, ...FOR_32_BITS);
    },
    get endings() {
      return build('endings', 'endings', '-pthread');
    },
    get vectors() {
      return build('vectors', 'vectors');
    },
    get calls() {
      return build('calls', 'calls');
    },
    tinyAs: (name) => {
      const path = join(directory, name);
      copyFileSync(tiny, path);
      return path;
    },
    remove: () => rmSync(directory, { recursive: true }),
  };
}

/** Compiles test/live/programs/SOURCE.c. */
export function buildProgram(source: string, output: string, ...flags: readonly string[]): void {
  const path = fileURLToPath(new URL(`programs/${source}.c`, import.meta.url));
  execFileSync(findClang(), ['-O2', '-static', ...flags, path, '-o', output]);
}

export interface Ended {
  readonly pid: number;
  readonly status: number | null;
  readonly stdout: string;
}

/** Runs a program to its end. */
export async function runProgram(
  path: string,
  args: readonly string[],
  options: SpawnOptions = {},
): Promise<Ended> {
  return ended(spawn(path, args, { ...options, stdio: ['ignore', 'pipe', 'inherit'] }));
}

/** Waits for the end of a program. */
export function ended(child: ChildProcess): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.on('error', reject);
    child.on('close', (status) =>
      resolve({ pid: child.pid!, status, stdout: Buffer.concat(chunks).toString() }),
    );
  });
}

/** A program that stands ready to execute another one: see programs/launch.c. */
export class Launcher {
  readonly pid: number;
  private readonly child: ChildProcess;

  constructor(programs: Programs, way: Way, file: string, cwd = '/') {
    this.child = spawn(programs.launch, [way, file], { cwd, stdio: ['pipe', 'pipe', 'inherit'] });
    this.pid = this.child.pid!;
  }

  /** Executes the file with these arguments, the first of which is argv[0]; waits for its end. */
  go(argv: readonly (string | Buffer)[]): Promise<Ended> {
    const result = ended(this.child);
    this.child.stdin!.end(Buffer.concat(argv.flatMap((arg) => [Buffer.from(arg), Buffer.of(0)])));
    return result;
  }
}
