// Reads from a command line which container a process of the host runs: a shim, conmon, or runc itself.

import { readlinkSync } from 'node:fs';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { cgroupOf, isContainerId } from './cgroup.js';
import type { RuntimeName } from './container.js';
import { readText } from './host-files.js';
import { hostPidns, namespaceOf } from './proc.js';

/** Empty strings are what the command line does not say. */
export interface Launcher {
  readonly id: string;
  readonly name: string;
  readonly runtime: RuntimeName | '';
  /** Where the bundle is. */
  readonly bundle: string;
  /** Where runc or crun keeps its state; empty for the usual places. */
  readonly root: string;
}

/** As long as Linux lets one argument be; that of a shell is of no interest. */
const MAX_COMMAND_BYTES = 1 << 17;

/**
 * What a process launched, by its pid; `id` is that of the container if its cgroup has told it. Undefined for any
 * other program, and for one in a container, which may call itself what it likes.
 */
export function launcherOf(pid: number, id: string | undefined): Launcher | undefined {
  if (pid <= 1) return undefined;
  const text = readText(`/proc/${pid}/cmdline`, MAX_COMMAND_BYTES);
  if (text === undefined) return undefined;
  const launcher = parseLauncher(text.split('\0').slice(0, -1), id, () => workingDirectory(pid));
  if (launcher === undefined || (id !== undefined && launcher.id !== id)) return undefined;
  return namespaceOf(pid, 'pid') === hostPidns() && cgroupOf(pid) === undefined ? launcher : undefined;
}

function workingDirectory(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return '';
  }
}

/** The same from the words of a command line. `cwd` is asked where that matters. */
export function parseLauncher(
  words: readonly string[],
  id: string | undefined,
  cwd: () => string,
): Launcher | undefined {
  const [program = '', ...rest] = words;
  const name = basename(program);
  if (/^containerd-shim(-|$)/.test(name)) return ofShim(rest, id, cwd);
  if (name === 'conmon') return ofConmon(rest);
  if (name === 'runc' || name === 'crun') return ofRuntime(rest, cwd);
  return undefined;
}

/** `containerd-shim-runc-v2 -namespace NS -id ID`, in the bundle of ID: one shim for all containers of a pod. */
function ofShim(words: readonly string[], id: string | undefined, cwd: () => string): Launcher | undefined {
  const first = valueOf(words, ['-id', '--id']);
  if (first === '') return undefined;
  const folder = cwd();
  // Another container of the pod has its bundle beside that of the sandbox.
  const own = id !== undefined && isContainerId(id) ? id : first;
  const bundle = basename(folder) === first ? join(dirname(folder), own) : '';
  const namespace = valueOf(words, ['-namespace', '--namespace']);
  return { id: own, name: '', runtime: namespace === 'moby' ? 'docker' : 'containerd', bundle, root: '' };
}

/** `conmon -c ID -n NAME -b BUNDLE … --exit-command /usr/bin/podman …`; CRI-O has none, or another. */
function ofConmon(words: readonly string[]): Launcher | undefined {
  const id = valueOf(words, ['-c', '--cid']);
  if (id === '') return undefined;
  const byPodman = basename(valueOf(words, ['--exit-command'])) === 'podman';
  return {
    id,
    // CRI-O's are made of pod and container, and no name that anybody uses.
    name: byPodman ? valueOf(words, ['-n', '--name']) : '',
    runtime: byPodman ? 'podman' : 'cri-o',
    bundle: valueOf(words, ['-b', '--bundle']),
    root: '',
  };
}

const RUNTIME_FLAGS_WITH_VALUE =
  /^--?(root|log|log-format|criu|rootless|cgroup-manager|bundle|b|console-socket|pid-file|preserve-fds|config|f)$/;

/** `runc [--root ROOT] run|create [--bundle BUNDLE] ID`; the bundle is the working directory if left out. */
function ofRuntime(words: readonly string[], cwd: () => string): Launcher | undefined {
  const plain: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (!word.startsWith('-')) plain.push(word);
    else if (RUNTIME_FLAGS_WITH_VALUE.test(word)) i++;
  }
  const [command, id] = plain;
  if ((command !== 'run' && command !== 'create') || id === undefined) return undefined;
  const inBundle = valueOf(words, ['-b', '-bundle', '--bundle']);
  const bundle = isAbsolute(inBundle) ? inBundle : join(cwd(), inBundle);
  const root = valueOf(words, ['-root', '--root']);
  return {
    id,
    name: '',
    runtime: '',
    bundle,
    root: root === '' || isAbsolute(root) ? root : join(cwd(), root),
  };
}

/** The value of a flag, `-f VALUE` or `-f=VALUE`; empty when it is not given. */
function valueOf(words: readonly string[], flags: readonly string[]): string {
  for (const [i, word] of words.entries()) {
    const equals = word.indexOf('=');
    if (flags.includes(word)) return words[i + 1] ?? '';
    if (equals > 0 && flags.includes(word.slice(0, equals))) return word.slice(equals + 1);
  }
  return '';
}
