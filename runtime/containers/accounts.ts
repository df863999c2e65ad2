// The names that a container's own /etc/passwd and /etc/group give to ids, read through its root.

import { closeSync, constants, openSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { readFileBelow } from '../../bpf/index.js';
import type { Container } from './container.js';
import type { ContainerTable } from './table.js';

/** Names by id, as the host counts ids and events carry them. Plain data: it is posted to workers. */
export interface Accounts {
  readonly users: ReadonlyMap<number, string>;
  readonly groups: ReadonlyMap<number, string>;
}

/** What a container writes is not trusted; real files are far below all of these. */
const MAX_FILE_BYTES = 256 * 1024;
const MAX_NAMES = 2048;
const MAX_NAME_BYTES = 64;
/** A file system that took longer may never answer. */
const STUCK_MS = 2000;
/** How long a container's name waits for those of its users. */
const PATIENCE_MS = 100;
/** How many containers' accounts are read again at a time; each read costs half a millisecond. */
const REFRESH_COUNT = 4;

/** Keeps the accounts of containers, and the table's knowledge of them, fresh. */
export class AccountKeeper {
  readonly #table: ContainerTable;
  readonly #reader = new AccountReader();
  readonly #byKey = new Map<string, Accounts>();
  /** When each was last read, or tried: the count of reads by then. */
  readonly #turns = new Map<string, number>();
  #turn = 0;

  constructor(table: ContainerTable) {
    this.#table = table;
  }

  /** What is known of the container, which need not be in the table yet. */
  get(key: string): Accounts | undefined {
    return this.#byKey.get(key);
  }

  /**
   * Reads the accounts of a new container, as process `pid` in its mount namespace sees them. Returns what to wait
   * for, at most a tenth of a second, before the container is named; undefined when they are known.
   */
  readFirst(key: string, pid: number, mntns: number): Promise<void> | undefined {
    return this.#byKey.has(key) ? undefined : withPatience(this.#read({ key, pid, mntns }));
  }

  /** Reads those of all containers asked for; does not wait longer than a tenth of a second. */
  async readAll(): Promise<void> {
    await withPatience(Promise.all(this.#selected().map((container) => this.#read(container))));
  }

  /**
   * Reads those of a few containers asked for again, as their files change, and of a few that could not be read yet.
   * Forgets those of containers that the table has forgotten. To be called from time to time.
   */
  refresh(): void {
    const selected = this.#selected();
    const unread = selected.filter(({ accounts }) => accounts === undefined);
    for (const container of new Set([...this.#longestAgo(selected), ...this.#longestAgo(unread)])) {
      void this.#read(container);
    }
    const kept = new Set(this.#table.rows().map(({ container }) => container.key));
    for (const known of [this.#byKey, this.#turns]) {
      for (const key of known.keys()) if (!kept.has(key)) known.delete(key);
    }
  }

  /** The few that were read, or tried, longest ago. */
  #longestAgo(containers: readonly Container[]): Container[] {
    const turnOf = ({ key }: Container): number => this.#turns.get(key) ?? 0;
    return [...containers].sort((a, b) => turnOf(a) - turnOf(b)).slice(0, REFRESH_COUNT);
  }

  /** Nobody sees the events of the others. */
  #selected(): Container[] {
    const rows = this.#table.rows().filter(({ selected }) => selected);
    return rows.map(({ container }) => container).filter(({ removedAtMs }) => removedAtMs === undefined);
  }

  async #read({ key, pid, mntns }: Pick<Container, 'key' | 'pid' | 'mntns'>): Promise<void> {
    this.#turns.set(key, ++this.#turn);
    const accounts = await this.#reader.read(pid, mntns);
    if (accounts === undefined || isDeepStrictEqual(accounts, this.#byKey.get(key))) return;
    this.#byKey.set(key, accounts);
    this.#table.update(key, { accounts });
  }
}

/** Resolves when the work is done, or has taken too long. */
async function withPatience(work: Promise<unknown>): Promise<void> {
  const timer = new AbortController();
  const tooLong = sleep(PATIENCE_MS, undefined, { signal: timer.signal });
  await Promise.race([work, tooLong]);
  timer.abort();
}

/** Reads the accounts of one container after the other; while a read hangs, none is tried. */
class AccountReader {
  #previous: Promise<unknown> = Promise.resolve();
  #stuck = false;

  /**
   * The accounts in the mount namespace `mntns` as process `pid` sees them: without names where the files do not
   * serve, undefined when the process is gone or elsewhere, or reads hang. Never rejects.
   */
  read(pid: number, mntns: number): Promise<Accounts | undefined> {
    const result = this.#previous.then(() => this.#readNow(pid, mntns));
    this.#previous = result;
    return result;
  }

  async #readNow(pid: number, mntns: number): Promise<Accounts | undefined> {
    if (this.#stuck) return undefined;
    const timer = new AbortController();
    const reading = readAccounts(pid, mntns).finally(() => {
      this.#stuck = false;
      timer.abort();
    });
    const hangs = sleep(STUCK_MS, undefined, { ref: false, signal: timer.signal }).then(
      () => void (this.#stuck = true),
      () => reading,
    );
    return Promise.race([reading, hangs]);
  }
}

async function readAccounts(pid: number, mntns: number): Promise<Accounts | undefined> {
  let fd: number;
  try {
    fd = openSync(`/proc/${pid}`, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch {
    return undefined;
  }
  try {
    // Through this descriptor it stays the same process, whoever gets its pid.
    const directory = `/proc/self/fd/${fd}`;
    if (!isIn(directory, mntns)) return undefined;
    const [uids, gids] = [idMap(directory, 'uid_map'), idMap(directory, 'gid_map')];
    const passwd = await fileIn(directory, '/etc/passwd');
    const group = await fileIn(directory, '/etc/group');
    if ((passwd === undefined || group === undefined) && !isIn(directory, mntns)) return undefined;
    return { users: parseNames(passwd ?? '', uids), groups: parseNames(group ?? '', gids) };
  } finally {
    closeSync(fd);
  }
}

function isIn(directory: string, mntns: number): boolean {
  try {
    return readlinkSync(`${directory}/ns/mnt`) === `mnt:[${mntns}]`;
  } catch {
    return false;
  }
}

async function fileIn(directory: string, path: string): Promise<string | undefined> {
  try {
    return Buffer.from(await readFileBelow(`${directory}/root`, path, MAX_FILE_BYTES)).toString();
  } catch {
    // None there, a link to nowhere, too large, …: names are a convenience.
    return undefined;
  }
}

/** A range of ids: `inside` a user namespace, and as the host counts them. */
export interface IdRange {
  readonly inside: number;
  readonly host: number;
  readonly count: number;
}

function idMap(directory: string, file: 'uid_map' | 'gid_map'): IdRange[] {
  try {
    return parseIdMap(readFileSync(`${directory}/${file}`, 'utf8'));
  } catch {
    return [];
  }
}

/** Lines `inside host count`, at most 340 (user_namespaces(7)). */
export function parseIdMap(text: string): IdRange[] {
  return [...text.matchAll(/^ *(\d{1,10}) +(\d{1,10}) +(\d{1,10})$/gm)].map(([, inside, host, count]) => ({
    inside: Number(inside),
    host: Number(host),
    count: Number(count),
  }));
}

/** (uid_t)-1 stands for nobody, also in a map: for what this process's own user namespace lacks. */
const NO_ID = 0xffffffff;

function hostId(id: number, map: readonly IdRange[]): number | undefined {
  const range = map.find(({ inside, count }) => id >= inside && id - inside < count);
  return range === undefined || range.host === NO_ID ? undefined : range.host + id - range.inside;
}

/** The names in lines `name:password:id:…`, by what `map` makes of the ids. The first line of an id counts. */
export function parseNames(text: string, map: readonly IdRange[]): Map<number, string> {
  const names = new Map<number, string>();
  for (const line of text.split('\n')) {
    const [name, , digits] = line.split(':', 3);
    if (name === undefined || digits === undefined || !/^\d{1,10}$/.test(digits) || !isName(name)) continue;
    const id = hostId(Number(digits), map);
    if (id === undefined || names.has(id)) continue;
    names.set(id, name);
    if (names.size === MAX_NAMES) break;
  }
  return names;
}

/** Whether it can be shown as it is: neither empty nor long, without control or invisible characters. */
function isName(name: string): boolean {
  return Buffer.byteLength(name) <= MAX_NAME_BYTES && /^[^\p{C}\p{Z}\uFFFD]+$/u.test(name);
}
