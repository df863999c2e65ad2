// Where the file systems are mounted that eBPF and containers are found by.

import { constants, accessSync } from 'node:fs';
import { type Row, type Verdict, info, no, rowsOf, textOf, unknown, yes } from './row.js';

/** As statfs names them, and what goes without. */
const WANTED = {
  tracefs: 'tracepoints need it, or CAP_SYS_ADMIN',
  debugfs: 'nothing needs it',
  bpf: 'nothing needs it',
  securityfs: 'what it tells is read with CAP_SYS_ADMIN only',
  cgroup2: 'containers are told apart by cgroup v1 only',
  cgroup: 'nothing needs it',
} as const;

/** Of one type that are named. */
const MAX_PATHS = 3;

export interface Mount {
  readonly path: string;
  readonly type: string;
}

export function mountRows(): Row[] {
  const text = textOf('/proc/self/mountinfo');
  if (text === undefined) {
    const verdict = unknown('/proc/self/mountinfo is not readable');
    return rowsOf('mount', Object.fromEntries(Object.keys(WANTED).map((type) => [type, verdict])));
  }
  const mounts = parseMounts(text);
  const verdicts = Object.entries(WANTED).map(([type, without]): [string, Verdict] => [
    type,
    mountVerdict(
      mounts.filter((mount) => mount.type === type),
      without,
    ),
  ]);
  return rowsOf('mount', { ...Object.fromEntries(verdicts), 'cgroup version': info(cgroupVersion(mounts)) });
}

/**
 * The mounts of proc(5)'s mountinfo: the mount point is the fifth word, the type follows the lone hyphen. What is
 * mounted over is left out.
 */
export function parseMounts(mountinfo: string): Mount[] {
  const byPath = new Map<string, Mount>();
  for (const line of mountinfo.split('\n')) {
    const [, place, type] = /^(?:\S+ ){4}(\S+) .*? - (\S+)/.exec(line) ?? [];
    if (place === undefined || type === undefined) continue;
    const path = place.replace(/\\(\d{3})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    );
    byPath.set(path, { path, type });
  }
  return [...byPath.values()];
}

function mountVerdict(mounts: readonly Mount[], without: string): Verdict {
  if (mounts.length === 0) return no(`not mounted: ${without}`);
  const paths = mounts.map(({ path }) => path);
  const readable = paths.some((path) => canEnter(path));
  const more = paths.length - MAX_PATHS;
  const places = [...paths.slice(0, MAX_PATHS), ...(more > 0 ? [`${more} more`] : [])].join(', ');
  return yes(`${places}${readable ? '' : '; this user may not read it'}`);
}

function canEnter(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function cgroupVersion(mounts: readonly Mount[]): string {
  const unified = mounts.some(({ type }) => type === 'cgroup2');
  const old = mounts.some(({ type }) => type === 'cgroup');
  if (unified) return old ? '1 and 2 (hybrid)' : '2';
  return old ? '1' : 'none';
}
