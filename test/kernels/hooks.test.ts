// Every kind of hook that ig attaches to: an event from each that this kernel has, a sentence for each that it lacks.

import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { release } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ObjectSpec } from '../../bpf/index.js';
import { securityFile } from '../../bpf/features.js';
import type { Row } from '../../runtime/debug/debug.js';
import { ociArchitecture } from '../../oci/descriptor.js';
import { buildGadgetImage } from '../../oci/gadget-image.js';
import { Layout } from '../../oci/layout.js';
import { Ig, runIg } from '../ig.js';
import { compileBpf, compileFile } from '../live/compile.js';
import { createTemporaryDirectory, removeDirectory } from '../registry/images.js';
import { until } from '../until.js';

const SOURCE = fileURLToPath(new URL('hooks.bpf.c', import.meta.url));

/** How long the last event may take after the first. */
const LAST_EVENT_MS = 20_000;

/** Bytes of a packet that nobody else sends, and of what comes before them. */
const PAYLOAD_BYTES = 1234;
const IP_AND_UDP_BYTES = 28;
const ETHERNET_BYTES = 14;

/** What the test does, and what an event can tell of it. */
interface Deeds {
  /** Process that removed a file. */
  readonly rm: number;
  readonly inode: number;
  readonly port: number;
}

interface Kind {
  readonly hook: string;
  readonly program: string;
  /** What the events' `value` must be; undefined for any. */
  readonly value: (deeds: Deeds) => number | undefined;
  /** Why the kernel has no such hook; undefined if it has. */
  readonly lacking: string | undefined;
}

const symbols = new Set(
  readFileSync('/proc/kallsyms', 'latin1')
    .split('\n')
    .map((line) => line.split(/\s/)[2]),
);
const mounts = readFileSync('/proc/mounts', 'latin1');
const lockdown = /\[(\w+)\]/.exec(securityFile('lockdown') ?? '')?.[1] ?? 'none';

const noKprobes = existsSync('/sys/bus/event_source/devices/kprobe') ? undefined : 'no CONFIG_KPROBE_EVENTS';
const noFprobes = symbols.has('register_fprobe') ? undefined : 'no CONFIG_FPROBE';
const noTrampolines =
  lockdown === 'none' ? undefined : `refused by this kernel, which is locked down (${lockdown})`;
const noLsm = (securityFile('lsm') ?? '').split(',').includes('bpf') ? noTrampolines : 'no CONFIG_BPF_LSM';
const noTcx = symbols.has('tcx_link_attach') ? undefined : 'no CONFIG_NET_XGRESS (Linux 6.6)';
const noCgroup2 = / cgroup2 /.test(mounts) ? undefined : 'no cgroups of version 2 are mounted';

const ofRm = ({ rm }: Deeds): number => rm;
const ofTest = (): number => process.pid;

function kind(hook: string, value: Kind['value'], lacking?: string): Kind {
  return { hook, program: `ig_${hook.replace('.', '_')}`, value, lacking };
}

const KINDS: readonly Kind[] = [
  kind('tracepoint', ofRm),
  kind('raw_tp', ofRm),
  kind('tp_btf', ofRm),
  kind('kprobe', ofRm, noKprobes),
  kind('kretprobe', ofRm, noKprobes),
  kind('ksyscall', ofRm, noKprobes),
  kind('kretsyscall', ofRm, noKprobes),
  kind('kprobe.multi', ofRm, noFprobes),
  kind('kretprobe.multi', ofRm, noFprobes),
  kind('fentry', ofRm, noTrampolines),
  kind('fexit', ofRm, noTrampolines),
  kind('fmod_ret', ofRm, noTrampolines),
  kind('lsm', ofRm, noLsm),
  kind('uprobe', ofTest),
  kind('uretprobe', ofTest),
  kind('perf_event', () => undefined),
  kind('cgroup', ({ port }) => port, noCgroup2),
  kind('cgroup_skb', () => IP_AND_UDP_BYTES + PAYLOAD_BYTES, noCgroup2),
  kind('tc', () => ETHERNET_BYTES + IP_AND_UDP_BYTES + PAYLOAD_BYTES, noTcx),
  kind('socket', () => ETHERNET_BYTES + IP_AND_UDP_BYTES + PAYLOAD_BYTES),
];

interface HookEvent {
  readonly hook: string;
  readonly value: number;
  readonly inode?: number;
}

let root: string;
beforeAll(async () => {
  root = createTemporaryDirectory();
  const object = compileFile(SOURCE);
  await build('optional', object, (program) => ({ [program]: { optional: true } }));
  await build('strict', object, (program, hook) => ({ [program]: { enabledBy: { only: hook } } }));
});
afterAll(() => removeDirectory(root));

/** A gadget of the compiled programs, whose metadata says that of each of them; as a layout in `root`. */
async function build(
  name: string,
  ebpf: Uint8Array,
  words: (program: string, hook: string) => Record<string, object>,
): Promise<void> {
  const programs = Object.assign({}, ...KINDS.map(({ program, hook }) => words(program, hook))) as Record<
    string,
    object
  >;
  programs['ig_tc'] = { ...programs['ig_tc'], attach_to: 'lo' };
  const fields = { inode: { annotations: { 'value.undefined': '0' } } };
  await buildGadgetImage(new Layout(join(root, name)), {
    ref: `${name}:v1`,
    metadata: Buffer.from(JSON.stringify({ name, datasources: { hooks: { fields } }, programs })),
    platforms: [{ architecture: ociArchitecture(), ebpf }],
  });
}

/** Does once what the hooks see. */
async function act(): Promise<Deeds> {
  // In memory: layered file systems remove the same file several times.
  const file = '/dev/shm/ig-hooks-test';
  writeFileSync(file, '');
  const inode = statSync(file).ino;
  const { pid: rm } = spawnSync('rm', [file]);
  writeFileSync(file, '');
  rmSync(file);
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connect(port, '127.0.0.1');
  await once(client, 'connect');
  client.destroy();
  server.close();
  const sender = createSocket('udp4');
  await new Promise((sent) => sender.send(Buffer.alloc(PAYLOAD_BYTES), port, '127.0.0.1', sent));
  sender.close();
  return { rm, inode, port };
}

function eventsOf(ig: Ig): HookEvent[] {
  return ig.stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as HookEvent);
}

function seen(events: readonly HookEvent[], { hook, value }: Kind, deeds: Deeds): boolean {
  const expected = value(deeds);
  return events.some((event) => event.hook === hook && (expected === undefined || event.value === expected));
}

describe('event of', () => {
  const had: Kind[] = KINDS.filter(({ lacking }) => lacking === undefined);
  let events: HookEvent[] = [];
  let deeds: Deeds | undefined;
  let warnings: string[] = [];

  it('all kinds in one gadget', async () => {
    const ig = await Ig.tracing(['run', join(root, 'optional'), '-o', 'json']);
    deeds = await act();
    const all = (): boolean => had.every((one) => seen(eventsOf(ig), one, deeds!));
    await ig.until(() => eventsOf(ig).length > 0);
    // What does not come is told by the tests below, one by one.
    await until(all, 'all events', LAST_EVENT_MS).catch(() => undefined);
    events = eventsOf(ig);
    const { stderr } = await ig.stop();
    warnings = stderr.split('\n').filter((line) => line.startsWith('Warning:'));
    expect(stderr).toMatch(/, 0 lost$/m);
  });

  it.for(KINDS)('$hook', (one, { skip }) => {
    const { program, lacking } = one;
    const said = warnings.filter((line) => new RegExp(`\\b${program}\\b`).test(line));
    if (lacking === undefined) {
      expect(said).toEqual([]);
      expect(seen(events, one, deeds!)).toBe(true);
      return;
    }
    expect(said).toHaveLength(1);
    expect(events.filter(({ hook }) => hook === one.hook)).toEqual([]);
    skip(lacking);
  });

  it('iter', async () => {
    const object = await ObjectSpec.open(compileBpf('tasks'), 'tasks').load();
    try {
      const bytes = object.program('list').attach().read();
      expect(new Uint32Array(bytes.buffer, 0, bytes.length / 4)).toContain(process.pid);
    } finally {
      object.close();
    }
  });

  it('a field that an optional program feeds, undefined without it', () => {
    const event = events.find(({ hook, value }) => hook === 'tracepoint' && value === deeds!.rm);
    expect(event?.inode).toBe(noTrampolines === undefined ? deeds!.inode : undefined);
  });
});

/** What the kernel would have to be built with, or what it says. */
const OPTIONS: Readonly<Record<string, RegExp>> = {
  kprobe: /kprobe\/vfs_unlink: the kernel is built without kprobes \(CONFIG_KPROBE_EVENTS\)/,
  'kprobe.multi': /kprobe\.multi\/vfs_unlin\*: .*\(CONFIG_FPROBE\)/,
  fentry: /fentry\/security_inode_unlink.*lock/,
  lsm: /lsm\/inode_unlink/,
  tc: /classifier\/lo: .*\(CONFIG_NET_XGRESS\)/,
  cgroup: /cgroup\/connect4: .*cgroup.* version 2/,
};

const LACKED = KINDS.filter(({ lacking, hook }) => lacking !== undefined && hook in OPTIONS);

describe.skipIf(LACKED.length === 0)('sentence of a gadget that needs', () => {
  it.for(LACKED)('$hook', async ({ hook, program }) => {
    const { status, stdout, stderr } = await runIg(['run', join(root, 'strict'), '--only', hook]);
    const sentence = stderr.trimEnd().split('\n').at(-1);
    expect(sentence).toMatch(/^Error: .*\.$/);
    expect(sentence).toContain(program);
    expect(sentence).toMatch(OPTIONS[hook]!);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  });
});

describe('ig debug', () => {
  let rows: Row[];

  it('knows the kernel', async () => {
    const { stdout, stderr } = await runIg(['debug', '-o', 'json']);
    expect(stderr).toBe('');
    rows = JSON.parse(stdout) as Row[];
    const kernel = rows.find(({ what }) => what === 'release');
    expect(kernel?.detail).toContain(release());
  });

  it('says of each kind of hook whether it attaches', () => {
    const tried = rows.filter(({ group, detail }) => group === 'program' && !detail.includes('not tried'));
    const said = KINDS.flatMap(({ hook, lacking }) => {
      const found = tried.find(({ what }) => what === hook);
      return found === undefined ? [] : [{ hook, state: found.state, expected: lacking ? 'no' : 'yes' }];
    });
    expect(said.length).toBeGreaterThan(10);
    for (const { hook, state, expected } of said) expect({ hook, state }).toEqual({ hook, state: expected });
  });

  it('says the same in columns', async () => {
    const { stdout } = await runIg(['debug']);
    const lines = stdout.split('\n').map((line) => line.split(/ {2,}/).slice(0, 3).join());
    expect(lines.slice(1, -1)).toEqual(rows.map(({ group, what, state }) => [group, what, state].join()));
  });
});
