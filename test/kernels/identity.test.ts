// Who trace_exec says executes what, and where the program comes from: compared with what the process finds in its own /proc.

import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bootToEpochNs } from '../../bpf/clock.js';
import { type ExecEvent, Ig, parseEvents, runIg } from '../ig.js';
import { type Ended, Launcher, type Programs, buildPrograms, ended, runProgram } from '../live/programs.js';

const NOBODY = 65_534;
/** Owners of programs, without a name; and who logs in. */
const UID = 61_357;
const GID = 61_358;
/** Of /proc/PID/stat: USER_HZ. */
const TICK_NS = 10_000_000;
/** test/kernels/init makes it: there, the first process has another root than the tests. */
const IN_GUEST = existsSync('/ig-share');
const SETCAP = '/usr/sbin/setcap';
const CORE_PATTERN = '/proc/sys/kernel/core_pattern';

interface IdentityEvent extends ExecEvent {
  readonly ns_pid: number;
  readonly pidns_id: number;
  readonly userns_id: number;
  readonly euid: number;
  readonly egid: number;
  readonly euid_before?: number;
  readonly egid_before?: number;
  readonly secureexec?: boolean;
  readonly start_time: string;
  readonly loginuid: number;
  readonly sessionid: number;
  readonly cgroup_id: number;
  readonly ancestors: readonly string[];
  readonly deleted?: boolean;
  readonly file_deleted?: boolean;
  readonly in_memory?: boolean;
  readonly file_in_memory?: boolean;
  readonly newer_than_container?: boolean;
  readonly file_newer_than_container?: boolean;
}

/** A copy of head(1) that is a witness of itself: it shows its files in /proc, each below its name. */
const FILES = ['status', 'stat', 'loginuid', 'sessionid'];
const SHOW = ['-v', '-n', '99', ...FILES.map((name) => `/proc/self/${name}`)];
/** Shell: tells its namespaces, then becomes the program "$@", whose loader tells more unless it is privileged. */
const BECOME = 'stat -Lc "ns %i" /proc/self/ns/pid /proc/self/ns/user; export LD_SHOW_AUXV=1; exec "$@"';

class Witness {
  private readonly said: string;

  constructor({ stdout }: Ended) {
    this.said = stdout.replaceAll('\r', '');
  }

  private file(name: string): string {
    const parts = this.said.split(/^==> \/proc\/self\/(\w+) <==$/m);
    const at = parts.indexOf(name);
    if (at < 0) throw new Error(`no ${name} in: ${this.said}`);
    return parts[at + 1]!.trim();
  }

  /** The numbers of a line of /proc/PID/status. */
  status(name: string): number[] {
    const line = new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(this.file('status'))!;
    return line[1]!.split('\t').map(Number);
  }

  /** A field of /proc/PID/stat, counted as in proc(5), from 3 on. */
  stat(field: number): number {
    const text = this.file('stat');
    return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[field - 3]);
  }

  number(name: 'loginuid' | 'sessionid'): number {
    return Number(this.file(name));
  }

  /** Inode numbers of its pid and its user namespace. */
  get namespaces(): number[] {
    return [...this.said.matchAll(/^ns (\d+)$/gm)].map(([, inode]) => Number(inode));
  }

  get pid(): number {
    return this.status('NSpid')[0]!;
  }

  get isSecure(): boolean {
    return !/^AT_SECURE:\s+0$/m.test(this.said);
  }
}

let programs: Programs;
/** The plain copy of head(1), older than all that is traced. */
let head: string;
/** A file system in memory, and a cgroup. */
let memory: string;
let cgroup: string;
const did = new Map<string, Ended>();
let events: readonly IdentityEvent[] = [];

beforeAll(() => {
  programs = buildPrograms();
  head = headAs('ig-head');
  memory = join(programs.directory, 'memory');
  mkdirSync(memory);
  spawnSync('mount', ['-t', 'tmpfs', 'ig-memory', memory]);
  const mounted = readFileSync('/proc/self/mounts', 'utf8').matchAll(/^\S+ (\S+) cgroup2 /gm);
  cgroup = join([...mounted][0]![1]!, `ig-identity-${process.pid}`);
  mkdirSync(cgroup);
});
afterAll(() => {
  rmdirSync(cgroup);
  spawnSync('umount', [memory]);
  programs.remove();
});

function headAs(name: string): string {
  const path = join(programs.directory, name);
  copyFileSync('/usr/bin/head', path);
  return path;
}

/** A copy that gives rights away. */
function privileged(name: string, uid: number, gid: number, mode: number): string {
  const path = headAs(name);
  chownSync(path, uid, gid);
  chmodSync(path, mode);
  return path;
}

/** Of a time with nanoseconds. */
function epochNs(time: string): bigint {
  const [, second, fraction, zone] = /^(.*)\.(\d{9})(.*)$/.exec(time)!;
  return BigInt(Date.parse(second! + zone!)) * 1_000_000n + BigInt(fraction!);
}

interface Setting {
  /** A program that runs the shell. */
  readonly below?: readonly string[];
  readonly uid?: number;
  readonly gid?: number;
}

const BY_NOBODY = { uid: NOBODY, gid: NOBODY };
const UNSHARE_PID = ['unshare', '--pid', '--fork'];
const IN_CONTAINER = { below: UNSHARE_PID };
/** Beyond the granularity of the times of files. */
const LATER = 'sleep 0.05';

/** Runs a shell in the directory of the programs, with `words` as "$@". */
function shell(
  script: string,
  words: readonly string[],
  { below = [], ...ids }: Setting = {},
): Promise<Ended> {
  const [program, ...rest] = [...below, '/bin/sh', '-c', script, 'sh', ...words];
  return runProgram(program!, rest, { ...ids, cwd: programs.directory });
}

/** Runs a witness. */
function become(path: string, setting?: Setting): Promise<Ended> {
  return shell(BECOME, [path, ...SHOW], setting);
}

/** Runs a witness after a script that prepares for it. */
function after(script: string, setting?: Setting): Promise<Ended> {
  return shell(`set -e; ${script}; ${BECOME}`, [head, ...SHOW], setting);
}

/** Each of them ends as a witness. */
const deeds: Readonly<Record<string, () => Promise<Ended>>> = {
  plain: () => after('sleep 0.1'),
  'by nobody': () => become(head, BY_NOBODY),
  setuid: () => become(privileged('ig-setuid', UID, GID, 0o4755), BY_NOBODY),
  setgid: () => become(privileged('ig-setgid', UID, GID, 0o2755), BY_NOBODY),
  'setuid to root': () => become(privileged('ig-to-root', 0, 0, 0o4755), BY_NOBODY),
  'setuid from root': () => become(privileged('ig-from-root', UID, GID, 0o6755)),
  ...(existsSync(SETCAP) && {
    'file capabilities': () => {
      const path = headAs('ig-capable');
      spawnSync(SETCAP, ['cap_net_raw+ep', path]);
      return become(path, BY_NOBODY);
    },
  }),
  'user namespace': () => become(head, { below: ['unshare', '--user'], ...BY_NOBODY }),
  'root of a user namespace': () =>
    become(head, { below: ['unshare', '--user', '--map-root-user'], ...BY_NOBODY }),
  'pid namespace': () => become(head, IN_CONTAINER),
  'pid namespace in another': () => become(head, { below: [...UNSHARE_PID, ...UNSHARE_PID] }),
  'second of a pid namespace': () => shell(`(${BECOME}); :`, [head, ...SHOW], IN_CONTAINER),
  'logged in': () => after(`echo ${UID} >/proc/self/loginuid`),
  cgroup: () => after(`echo $$ >${cgroup}/cgroup.procs`),
  'no terminal': () => become(head, { below: ['setsid', '--wait'] }),
  pty: () =>
    ended(
      spawn('script', ['-qec', `exec ${[head, ...SHOW].join(' ')}`, '/dev/null'], {
        stdio: ['pipe', 'pipe', 'inherit'],
        env: { ...process.env, SHELL: '/bin/sh' },
      }),
    ),
  // The first terminal that the leader of a session opens becomes its own.
  ...(IN_GUEST && { console: () => after('exec </dev/ttyS0', { below: ['setsid', '--wait'] }) }),
  descendant: () => {
    const shells = ['ig-sh-1', 'ig-sh-2'].map((name) => join(programs.directory, name));
    shells.forEach((path) => copyFileSync('/bin/sh', path));
    const script = '"$@"; :';
    return runProgram(shells[0]!, ['-c', script, 'sh', shells[1]!, '-c', script, 'sh', head, ...SHOW]);
  },

  deleted: () =>
    shell('cp "$1" gone; exec 3<gone; rm gone; shift; exec /proc/self/fd/3 "$@"', [head, ...SHOW]),
  'one of two names deleted': () =>
    shell('cp "$1" a; ln a b; exec 3<b; rm b; shift; exec /proc/self/fd/3 "$@"', [head, ...SHOW]),
  replaced: () =>
    shell('cp "$1" a; cp "$1" b; exec 3<a; mv b a; shift; exec /proc/self/fd/3 "$@"', [head, ...SHOW]),
  renamed: () => shell('cp "$1" a; exec 3<a; mv a b; shift; exec /proc/self/fd/3 "$@"', [head, ...SHOW]),
  memfd: () => new Launcher(programs, 'memfd', head).go(['head', ...SHOW]),
  tmpfs: () => shell('cp "$1" memory/head; shift; exec memory/head "$@"', [head, ...SHOW]),
  'deleted from tmpfs': () =>
    shell('cd memory; cp "$1" a; exec 3<a; rm a; shift; exec /proc/self/fd/3 "$@"', [head, ...SHOW]),
  'new in container': () =>
    shell(`${LATER}; cp "$1" new; shift; exec ./new "$@"`, [head, ...SHOW], IN_CONTAINER),
  'changed in container': () => {
    headAs('changed');
    return shell(`${LATER}; chmod 700 changed; exec ./changed "$@"`, SHOW, IN_CONTAINER);
  },
};

const SCRIPT = `printf '#!%s\\n:\\n' "$1" >script; chmod +x script`;

/** The others, by the process that does them. */
const others: Readonly<Record<string, () => Promise<Ended>>> = {
  'deleted script': () => shell(`${SCRIPT}; exec 3<script; rm script; exec /proc/self/fd/3`, ['/bin/sh']),
  'script of a deleted program': () =>
    shell(`cp ig-head gone; exec 4<gone; rm gone; ${SCRIPT}; exec ./script`, ['/proc/self/fd/4']),
  'text in memory': () => {
    writeFileSync(join(programs.directory, 'text'), 'no program\n');
    return new Launcher(programs, 'memfd', join(programs.directory, 'text')).go(['it', 'fails']);
  },
  'new script in container': () => shell(`${LATER}; ${SCRIPT}; exec ./script`, ['/bin/sh'], IN_CONTAINER),
};

describe('trace_exec', () => {
  it('traces what processes of all kinds execute', async () => {
    const flags = ['--host', '-o', 'json', '--paths', '--ignore-failed=false', '--ancestors', '3'];
    const ig = await Ig.tracing(['run', 'trace_exec', ...flags]);
    for (const [name, act] of Object.entries({ ...deeds, ...others })) did.set(name, await act());
    await bearOrphan(ig);
    crash();
    const { stdout, status } = await ig.stop();
    events = parseEvents(stdout) as IdentityEvent[];
    expect(status).toBe(0);
  });

  /** A program whose parent has gone before ig can read of it. */
  async function bearOrphan(ig: Ig): Promise<void> {
    const parent = join(programs.directory, 'ig-mother');
    copyFileSync(programs.burst, parent);
    process.kill(ig.pid, 'SIGSTOP');
    try {
      did.set('orphan', await runProgram(parent, ['1', programs.tinyAs('ig-orphan')]));
    } finally {
      process.kill(ig.pid, 'SIGCONT');
    }
  }

  /** Has the kernel start a program of its own accord. */
  function crash(): void {
    const before = readFileSync(CORE_PATTERN, 'utf8');
    writeFileSync(CORE_PATTERN, `|${IN_GUEST ? '/root' : ''}${programs.tinyAs('ig-helper')}`);
    try {
      spawnSync('sh', ['-c', 'kill -SEGV $$']);
    } finally {
      writeFileSync(CORE_PATTERN, before);
    }
  }

  function witness(name: string): Witness {
    return new Witness(did.get(name)!);
  }

  /** The last event of a process. */
  function ofPid(pid: number): IdentityEvent {
    const event = events.filter(({ proc }) => proc.pid === pid).at(-1);
    if (event === undefined) throw new Error(`no event of ${pid}`);
    return event;
  }

  function ofComm(comm: string): IdentityEvent {
    return events.find(({ proc }) => proc.comm === comm)!;
  }

  const of = (name: string): IdentityEvent => ofPid(witness(name).pid);
  const ofOther = (name: string): IdentityEvent =>
    name.includes('container')
      ? events.find(({ ns_pid, argv }) => ns_pid === 1 && argv.at(-1) === './script')!
      : ofPid(did.get(name)!.pid);

  it.each(Object.keys(deeds))('says what the process knows of itself: %s', (name) => {
    const [self, event] = [witness(name), of(name)];
    const inUserNamespace = name.includes('user namespace');
    const [uid, euid] = self.status('Uid');
    const [gid, egid] = self.status('Gid');
    const [pidns, userns] = self.namespaces;
    const device = self.stat(7);
    expect(event).toMatchObject({
      ns_pid: self.status('NSpid').at(-1),
      ...(pidns !== undefined && { pidns_id: pidns, userns_id: userns }),
      ...(!inUserNamespace && { euid, egid, proc: { creds: { uid, gid } } }),
      loginuid: self.number('loginuid'),
      sessionid: self.number('sessionid'),
      // Documentation of tty_nr in proc(5).
      tty_major: (device >> 8) & 0xfff,
      tty_minor: (device & 0xff) | ((device >> 12) & 0xfff00),
      error: '',
    });
    expect(event.proc.parent.pid).toBe(self.status('PPid')[0]);
    const startNs = Number(epochNs(event.start_time) - bootToEpochNs());
    expect(Math.abs(startNs - (self.stat(22) + 0.5) * TICK_NS)).toBeLessThan(TICK_NS);
  });

  const rights: [string, number, number, number, number, boolean][] = [
    ['plain', 0, 0, 0, 0, false],
    ['by nobody', NOBODY, NOBODY, NOBODY, NOBODY, false],
    ['setuid', NOBODY, NOBODY, UID, NOBODY, true],
    ['setgid', NOBODY, NOBODY, NOBODY, GID, true],
    ['setuid to root', NOBODY, NOBODY, 0, NOBODY, true],
    ['setuid from root', 0, 0, UID, GID, true],
    ['file capabilities', NOBODY, NOBODY, NOBODY, NOBODY, true],
    ['user namespace', NOBODY, NOBODY, NOBODY, NOBODY, false],
    ['root of a user namespace', NOBODY, NOBODY, NOBODY, NOBODY, false],
  ];
  it.each(rights.filter(([name]) => name in deeds))(
    'tells rights before the exec from those after it: %s',
    (name, euidBefore, egidBefore, euid, egid, secure) => {
      expect(witness(name).isSecure).toBe(secure);
      expect(of(name)).toMatchObject({
        proc: { creds: { uid: euidBefore, gid: egidBefore } },
        euid_before: euidBefore,
        egid_before: egidBefore,
        euid,
        egid,
        secureexec: secure,
      });
    },
  );

  it('knows namespaces from the initial ones', () => {
    const [pidns, userns] = ['pid', 'user'].map((name) => statSync(`/proc/self/ns/${name}`).ino);
    expect(of('plain')).toMatchObject({ pidns_id: pidns, userns_id: userns, ns_pid: of('plain').proc.pid });
    expect(of('user namespace').pidns_id).toBe(pidns);
    expect(of('user namespace').userns_id).not.toBe(userns);
    expect(of('pid namespace')).toMatchObject({ ns_pid: 1, userns_id: userns });
    expect(of('pid namespace in another').ns_pid).toBe(1);
    expect(of('pid namespace').pidns_id).not.toBe(pidns);
    expect(of('second of a pid namespace').ns_pid).toBeGreaterThan(1);
  });

  it('says who logged in', () => {
    expect(of('logged in').loginuid).toBe(UID);
    expect(of('logged in').sessionid).not.toBe(of('plain').sessionid);
  });

  it('names the cgroup by the inode of its directory', () => {
    expect(of('cgroup').cgroup_id).toBe(statSync(cgroup).ino);
    expect(of('plain').cgroup_id).not.toBe(of('cgroup').cgroup_id);
  });

  it('tells terminals apart', () => {
    expect(of('no terminal')).toMatchObject({ tty_major: 0, tty_minor: 0 });
    expect(of('pty').tty_major).toBe(136);
    if (IN_GUEST) expect(of('console')).toMatchObject({ tty: 0, tty_major: 4, tty_minor: 64 });
  });

  it('names the parent, even one that has gone since', () => {
    expect(existsSync(`/proc/${did.get('orphan')!.pid}`)).toBe(false);
    expect(ofComm('ig-orphan')).toMatchObject({
      proc: { parent: { comm: 'ig-mother', pid: did.get('orphan')!.pid } },
      parent_exepath: join(programs.directory, 'ig-mother'),
    });
  });

  it('says that the kernel started a program', () => {
    const event = ofComm('ig-helper');
    expect(event).toMatchObject({
      proc: { parent: { comm: 'kthreadd', pid: 2 } },
      ancestors: ['kthreadd'],
      euid: 0,
      secureexec: false,
    });
    expect(event).not.toHaveProperty('parent_exepath');
  });

  it('names ancestors, from the nearest on', () => {
    const mine = readFileSync(`/proc/${process.pid}/comm`, 'utf8').trimEnd();
    expect(of('descendant').ancestors).toEqual(['ig-sh-2', 'ig-sh-1', mine]);
    expect(of('plain').ancestors[0]).toBe(mine);
    expect(of('plain').ancestors).toHaveLength(3);
  });

  const origins: [string, boolean, boolean][] = [
    ['plain', false, false],
    ['deleted', true, false],
    ['one of two names deleted', true, false],
    ['replaced', true, false],
    ['renamed', false, false],
    ['memfd', true, true],
    ['tmpfs', false, false],
    ['deleted from tmpfs', true, true],
  ];
  it.each(origins)('says whether a program has a name, or lies in memory: %s', (name, deleted, inMemory) => {
    expect(of(name)).toMatchObject({
      deleted,
      file_deleted: deleted,
      // In guests the directory of the programs lies in memory, too.
      in_memory: IN_GUEST ? deleted : inMemory,
      file_in_memory: IN_GUEST ? deleted : inMemory,
    });
    expect(of(name).exepath.endsWith(' (deleted)')).toBe(deleted);
  });

  it('tells a script from its interpreter', () => {
    expect(ofOther('deleted script')).toMatchObject({ deleted: false, file_deleted: true });
    expect(ofOther('script of a deleted program')).toMatchObject({ deleted: true, file_deleted: false });
    expect(ofOther('new script in container')).toMatchObject({
      newer_than_container: false,
      file_newer_than_container: true,
    });
  });

  it('says whether a program was there before its container', () => {
    for (const name of ['new in container', 'changed in container'])
      expect(of(name)).toMatchObject({ newer_than_container: true, file_newer_than_container: true });
    for (const name of ['pid namespace', 'second of a pid namespace'])
      expect(of(name)).toMatchObject({ newer_than_container: false, file_newer_than_container: false });
    expect(of('plain')).not.toHaveProperty('newer_than_container');
    expect(of('plain')).not.toHaveProperty('file_newer_than_container');
  });

  it('says of a failure what is known of the file, not what would have become of the process', () => {
    const event = ofOther('text in memory');
    expect(event).toMatchObject({
      error: 'ENOEXEC',
      file_deleted: true,
      file_in_memory: true,
      euid: 0,
      egid: 0,
    });
    for (const name of ['deleted', 'in_memory', 'euid_before', 'egid_before', 'secureexec'])
      expect(event).not.toHaveProperty(name);
  });
});

it('--ancestors takes up to 16', async () => {
  const { status, stderr } = await runIg(['run', 'trace_exec', '--ancestors', '17']);
  expect(status).toBe(2);
  expect(stderr).toMatch(/^Error: --ancestors takes one of 0, 1, .*, 16, not "17"$/m);
});
