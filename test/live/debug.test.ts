/** `ig debug`: a table that is true, is the same for scripts, and leaves nothing behind. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { probeCall, probeMapType } from '../../bpf/features.js';
import type { Row } from '../../runtime/debug/debug.js';
import { IG, type IgOptions, runIg } from '../ig.js';
import { canMountSilent, mountSilent } from './silent.js';

const NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];

async function debug(options: IgOptions = {}, ...args: string[]): Promise<Row[]> {
  const { status, stdout, stderr } = await runIg(['debug', '-o', 'json', ...args], options);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout) as Row[];
}

/** The line of a thing; there must be one. */
function row(rows: readonly Row[], group: string, what: string): Row {
  const found = rows.find((candidate) => candidate.group === group && candidate.what === what);
  if (found === undefined) throw new Error(`no line of ${group} ${what}`);
  return found;
}

describe('the lines', () => {
  let rows: Row[];
  beforeAll(() => {
    const text = execFileSync(process.execPath, [IG, 'debug', '-o', 'json'], { encoding: 'utf8' });
    rows = JSON.parse(text) as Row[];
  });

  it('all have the same shape, and each its name', () => {
    for (const line of rows) {
      expect(Object.keys(line)).toEqual(['group', 'what', 'state', 'detail']);
      expect(['yes', 'no', 'unknown', 'info']).toContain(line.state);
      expect(line.detail).toMatch(/^\S?[^\n]*$/);
      if (line.state !== 'yes') expect(line, 'a reason').not.toMatchObject({ detail: '' });
    }
    const names = rows.map(({ group, what }) => `${group} ${what}`);
    expect(new Set(names).size).toBe(names.length);
    expect([...new Set(rows.map(({ group }) => group))]).toEqual([
      ...['ig', 'kernel', 'security', 'process', 'mount', 'program', 'map', 'helper', 'kfunc'],
      ...['engine', 'store', 'gadget'],
    ]);
  });

  it('tell what the machine tells otherwise', () => {
    const uname = execFileSync('uname', ['-r'], { encoding: 'utf8' }).trim();
    expect(row(rows, 'kernel', 'release').detail).toContain(uname);
    const { size } = statSync('/sys/kernel/btf/vmlinux');
    expect(row(rows, 'kernel', 'BTF')).toMatchObject({
      state: 'yes',
      detail: `/sys/kernel/btf/vmlinux, ${size} bytes`,
    });
    expect(row(rows, 'process', 'CAP_BPF').state).toBe('yes');
    const tracefs = spawnSync('findmnt', ['-t', 'tracefs']).stdout.length > 0;
    expect(row(rows, 'mount', 'tracefs').state).toBe(tracefs ? 'yes' : 'no');
  });

  it('agree with bpftool on programs that load', () => {
    const { program_types: types } = features();
    const names: Readonly<Record<string, string>> = {
      tracepoint: 'tracepoint',
      raw_tp: 'raw_tracepoint',
      kprobe: 'kprobe',
      fentry: 'tracing',
      lsm: 'lsm',
      perf_event: 'perf_event',
      socket: 'socket_filter',
      tc: 'sched_cls',
      xdp: 'xdp',
      cgroup_skb: 'cgroup_skb',
      'cgroup/sock_create': 'cgroup_sock',
      'cgroup/connect4': 'cgroup_sock_addr',
      'cgroup/dev': 'cgroup_device',
      'cgroup/sysctl': 'cgroup_sysctl',
      'cgroup/getsockopt': 'cgroup_sockopt',
      sockops: 'sock_ops',
      sk_msg: 'sk_msg',
      sk_skb: 'sk_skb',
      sk_lookup: 'sk_lookup',
    };
    for (const [kind, type] of Object.entries(names)) {
      const loads = row(rows, 'program', kind).detail.startsWith('loads');
      expect({ kind, loads }).toEqual({ kind, loads: types[`have_${type}_prog_type`] });
    }
  });

  it('agree with bpftool on maps', () => {
    const { map_types: types } = features();
    for (const { what, state } of rows.filter(({ group }) => group === 'map')) {
      const known = types[`have_${what}_map_type`];
      if (known !== undefined) expect({ what, state }).toEqual({ what, state: known ? 'yes' : 'no' });
    }
    expect(row(rows, 'map', 'ringbuf').state).toBe('yes');
  });

  it('say where the kernel has no kprobes', () => {
    const probes = existsSync('/sys/bus/event_source/devices/kprobe');
    const expected = probes ? 'loads and attaches' : /CONFIG_KPROBE_EVENTS/;
    for (const kind of ['kprobe', 'kretprobe']) {
      expect(row(rows, 'program', kind)).toMatchObject({ state: probes ? 'yes' : 'no' });
      expect(row(rows, 'program', kind).detail).toMatch(expected);
    }
  });

  it('say yes of what the tests of the addon attach to', () => {
    for (const kind of ['tracepoint', 'raw_tp', 'tp_btf', 'uprobe', 'perf_event', 'iter']) {
      expect(row(rows, 'program', kind)).toMatchObject({ state: 'yes', detail: 'loads and attaches' });
    }
    expect(row(rows, 'helper', 'bpf_ktime_get_boot_ns').state).toBe('yes');
    expect(row(rows, 'helper', 'bpf_ringbuf_output').state).toBe('yes');
    expect(row(rows, 'gadget', 'trace_exec')).toMatchObject({ state: 'yes' });
  });
  it.each([
    ['jsonpretty', (text: string) => JSON.parse(text) as Row[]],
    ['yaml', (text: string) => parseYaml(text) as Row[]],
    ['columns', rowsOfTable],
  ])('are the same as %s', async (mode, parse) => {
    const { stdout } = await runIg(['debug', '-o', mode]);
    const facts = (lines: readonly Row[]): string[] =>
      lines.map(({ group, what, state }) => [group, what, state].join());
    expect(facts(parse(stdout))).toEqual(facts(rows));
  });
});

function rowsOfTable(text: string): Row[] {
  const [header, ...lines] = text.trimEnd().split('\n');
  expect(header).toMatch(/^GROUP +WHAT +STATE +DETAIL$/);
  return lines.map((line) => {
    const [group = '', what = '', state = '', detail = ''] = line.split(/ {2,}/);
    return { group, what, state: state as Row['state'], detail };
  });
}

function features(): Record<'program_types' | 'map_types', Record<string, boolean>> {
  const text = execFileSync('bpftool', ['-j', 'feature', 'probe', 'kernel'], { encoding: 'utf8' });
  return JSON.parse(text) as ReturnType<typeof features>;
}

describe('probes', () => {
  it('tell calls that a program may make from those that it may not', () => {
    const getPidTgid = 14;
    const skbStoreBytes = 9;
    expect(probeCall({ type: 'raw_tracepoint' }, { helper: getPidTgid })).toBe(true);
    expect(probeCall({ type: 'raw_tracepoint' }, { helper: skbStoreBytes })).toBe(false);
    expect(probeCall({ type: 'sched_cls' }, { helper: skbStoreBytes })).toBe(true);
    expect(probeCall({ type: 'raw_tracepoint' }, { helper: 100_000 })).toBe(false);
  });

  it('know that a made-up type of map is none', () => {
    expect(() => probeMapType('no_such')).toThrow('creating a no_such map');
  });
});

describe('ig debug', () => {
  it('refuses another mode', async () => {
    const { status, stdout, stderr } = await runIg(['debug', '-o', 'josn']);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toBe('Error: unknown output mode josn; did you mean json?\n');
  });

  it('leaves no program, nor thereby a link, no map and no pinned file', async () => {
    // Others may load theirs meanwhile: a program is known by its name, a map that is only tried has none.
    const ours = (): string[] =>
      ['prog', 'map'].flatMap((kind) => {
        const text = execFileSync('bpftool', ['-j', kind, 'show'], { encoding: 'utf8' });
        const objects = JSON.parse(text || '[]') as { id: number; name?: string }[];
        return objects
          .filter(({ name = '' }) => (kind === 'prog' ? /^(on_|ig_|libbpf_)/.test(name) : name === ''))
          .map(({ id }) => `${kind} ${id}`);
      });
    const pinned = (): string[] => readdirSync('/sys/fs/bpf');
    const before = { objects: ours(), pinned: pinned() };
    await debug();
    expect(ours().filter((id) => !before.objects.includes(id))).toEqual([]);
    expect(pinned()).toEqual(before.pinned);
  });

  it('names the capabilities that are needed to know, for who has none', async ({ skip }) => {
    const canRead = spawnSync(NOBODY[0]!, [...NOBODY.slice(1), process.execPath, '--check', IG]).status === 0;
    skip(!canRead, 'only root may read this checkout');
    const rows = await debug({ inside: NOBODY, env: { ...process.env, HOME: '/nonexistent' } });
    expect(row(rows, 'process', 'user').detail).toBe('uid 65534, gid 65534');
    expect(row(rows, 'process', 'CAP_BPF').state).toBe('no');
    expect(row(rows, 'program', 'raw_tp')).toMatchObject({
      state: 'unknown',
      detail: 'needs CAP_BPF and CAP_PERFMON',
    });
    expect(row(rows, 'gadget', 'trace_exec')).toMatchObject({ state: 'unknown' });
    expect(row(rows, 'map', 'ringbuf')).toMatchObject({ state: 'unknown', detail: 'needs CAP_BPF' });
    expect(row(rows, 'store', 'images').detail).toBe('/nonexistent/.ig/oci-store: nothing yet');
  });

  it('waits for no engine that does not answer', async () => {
    const silent = await listen((socket) => socket.on('error', () => undefined));
    const other = await listen((socket) => socket.end('what?\n'));
    const rows = await debug({}, '--docker-socketpath', silent, '--podman-socketpath', other);
    expect(row(rows, 'engine', 'docker')).toMatchObject({ state: 'no' });
    expect(row(rows, 'engine', 'docker').detail).toMatch(/no answer .*within 1000 ms/);
    expect(row(rows, 'engine', 'podman')).toMatchObject({ state: 'no' });
  });

  it.skipIf(!canMountSilent())('waits for no store on a file system that does not answer', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'ig-debug-'));
    mkdirSync(join(directory, 'ig'));
    const giveUp = mountSilent(join(directory, 'ig/oci-store'));
    onTestFinished(() => {
      giveUp();
      rmSync(directory, { recursive: true });
    });
    const inside = ['unshare', '-m', 'sh', '-c', `mount --rbind ${directory} /var/lib && exec "$@"`, 'sh'];
    const rows = await debug({ inside });
    expect(row(rows, 'store', 'images')).toMatchObject({
      state: 'unknown',
      detail: '/var/lib/ig/oci-store: no answer within 2000 ms',
    });
  });

  it('says where an engine answers', async () => {
    const body = '{"ApiVersion":"1.41","MinAPIVersion":"1.12"}';
    const head = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
    const path = await listen((socket) => socket.once('data', () => socket.end(head + body)));
    const rows = await debug({}, '--docker-socketpath', path);
    expect(row(rows, 'engine', 'docker')).toMatchObject({ state: 'yes', detail: `answers at ${path}` });
  });
});

/** A socket that treats its connections so; it goes with the test. */
async function listen(onConnection: (socket: Socket) => void): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'ig-debug-'));
  const path = join(directory, 'socket');
  const server = createServer(onConnection);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => {
    server.close();
    rmSync(directory, { recursive: true });
  });
  return path;
}
