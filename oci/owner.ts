/**
 * Files that belong to one process: their names say to which, so that others see when it has died.
 *
 * A name is `KIND.BOOT-PIDNS-PID-START.TIME+RANDOM`. Nobody else ever uses that name, so whoever finds its process
 * dead may remove the file at once: it cannot have become another's in the meantime, as a lock file of a fixed
 * name can.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync, statSync } from 'node:fs';

/** How often a process touches its files, for those in another container or machine, who cannot look it up. */
export const SIGN_OF_LIFE_MS = 2_000;
const NO_SIGN_OF_LIFE_MS = 10 * SIGN_OF_LIFE_MS;

const NAME = /^([a-z]+)\.([0-9a-f]{8}-[0-9]+)-([0-9]+)-([0-9]+)\.([0-9a-f]{20})$/;

export interface OwnedFile {
  kind: string;
  /** The kernel's run and the PID namespace in which `pid` is meant. */
  realm: string;
  pid: number;
  /** When the process began, in clock ticks since boot; PIDs are used again. */
  startTicks: string;
  /** Of two, the one of the file named earlier comes first, as far as clocks agree. */
  order: string;
}

let own: string | undefined;

/** A new name for a file of this process. @param kind lower-case letters */
export function ownedName(kind: string): string {
  own ??= `${realm()}-${process.pid}-${processState('self')?.startTicks ?? 0}`;
  return `${kind}.${own}.${Date.now().toString(16).padStart(12, '0')}${randomBytes(4).toString('hex')}`;
}

/** What such a name says, or `undefined` for another program's. */
export function parseOwnedName(name: string): OwnedFile | undefined {
  const match = NAME.exec(name);
  if (match === null) return undefined;
  const [, kind = '', realm = '', pid, startTicks = '', order = ''] = match;
  return { kind, realm, pid: Number(pid), startTicks, order };
}

/** Whether the process that the file at `path` belongs to is there, or may be. */
export function isOwnerAlive(file: OwnedFile, path: string): boolean {
  if (file.realm !== realm()) return showsLife(path);
  const state = processState(String(file.pid));
  if (state !== undefined) return state.startTicks === file.startTicks && !state.ended;
  try {
    process.kill(file.pid, 0);
    return true;
  } catch (error) {
    // /proc may hide other users' processes; then this is EPERM.
    return (error as { code?: string }).code !== 'ESRCH';
  }
}

function showsLife(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  return found !== undefined && Date.now() - found.mtimeMs < NO_SIGN_OF_LIFE_MS;
}

let ownRealm: string | undefined;

function realm(): string {
  ownRealm ??= findRealm() ?? `${randomBytes(4).toString('hex')}-0`;
  return ownRealm;
}

/** Undefined where no process can be looked up: without /proc, or with that of another namespace, which has other PIDs. */
function findRealm(): string | undefined {
  try {
    if (readlinkSync('/proc/self') !== String(process.pid)) return undefined;
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').slice(0, 8);
    const namespace = /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0];
    return namespace === undefined ? undefined : `${boot}-${namespace}`;
  } catch {
    return undefined;
  }
}

/** From `/proc/PID/stat` (proc(5)): field 3 is the state, field 22 the start; field 2 may hold anything. */
function processState(pid: string): { startTicks: string; ended: boolean } | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // Killed but not yet waited for.
  const ended = fields[0] === 'Z' || fields[0] === 'X';
  return { startTicks: fields[19] ?? '', ended };
}
