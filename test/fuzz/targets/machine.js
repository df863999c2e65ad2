// What the machine tells of containers: files of /proc, of runtimes and of bundles, command lines.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseIdMap, parseNames } from '../../../dist/runtime/containers/accounts.js';
import { readBundle } from '../../../dist/runtime/containers/bundle.js';
import {
  containerIdInPath,
  containerKey,
  namedCgroupIn,
  parseCgroupFile,
  parseCgroupLines,
  podUidOf,
} from '../../../dist/runtime/containers/cgroup.js';
import { parseCgroups } from '../../../dist/runtime/containers/describe.js';
import { parseLauncher } from '../../../dist/runtime/containers/launcher.js';
import { stateIn } from '../../../dist/runtime/containers/runtime-state.js';
import { parseMounts } from '../../../dist/runtime/debug/mounts.js';
import { ensure } from '../oracles.js';

const ID = 'ab'.repeat(32);
const folder = mkdtempSync(join(tmpdir(), 'ig-fuzz-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

function runCgroup(bytes) {
  const text = bytes.toString();
  const membership = parseCgroupFile(text);
  ensure(membership === undefined || /^[0-9a-f]{64}$/.test(membership.containerId), 'a container id is none');
  parseCgroups(text, ID);
  for (const { path } of parseCgroupLines(text)) {
    containerIdInPath(path);
    const key = containerKey(path);
    ensure(key === undefined || key !== '', 'a key is empty');
    const named = namedCgroupIn(path);
    ensure(named === undefined || path.startsWith(named.path), 'a cgroup is not on its path');
    path.split('/').forEach(podUidOf);
  }
}

function runAccounts(bytes) {
  const text = bytes.toString();
  const middle = text.indexOf('\0');
  const names = parseNames(text.slice(middle + 1), parseIdMap(text.slice(0, Math.max(middle, 0))));
  ensure(names.size <= 2048, 'there are too many names');
  for (const [id, name] of names) {
    ensure(Number.isSafeInteger(id) && id >= 0, `a name is for ${id}`);
    ensure(!/[\p{C}\p{Z}]/u.test(name), 'a name has a character that is not seen');
  }
}

function runCommandLine(bytes) {
  const words = bytes.toString().split('\0').slice(0, -1);
  for (const id of [undefined, ID]) {
    const launcher = parseLauncher(words, id, () => `/run/x/${ID}`);
    ensureTexts(launcher ?? {});
  }
}

/** What a bundle, or a runtime's state, tells is made of texts. */
function ensureTexts(facts) {
  for (const [key, value] of Object.entries(facts)) {
    if (key === 'pod' && value !== undefined) continue;
    if (Array.isArray(value)) value.forEach((one) => ensure(typeof one === 'string', `${key} has no text`));
    else if (typeof value === 'number')
      ensure(Number.isSafeInteger(value) && value >= 0, `${key} is ${value}`);
    else ensure(typeof value === 'string', `${key} is of type ${typeof value}`);
  }
}

/** `{"config.json": …, "state.json": …, …}`: files in the places where they are looked for. */
function runBundle(bytes) {
  const bundle = join(folder, 'io.containerd.runtime.v2.task', 'moby', ID);
  const text = bytes.toString();
  for (const place of [bundle, join(folder, 'overlay-containers', ID, 'userdata')]) {
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, 'config.json'), text);
    const facts = readBundle(place, ID);
    if (facts !== undefined) ensureTexts(facts);
  }
}

function runState(bytes) {
  for (const name of ['state.json', 'status']) {
    const root = join(folder, name);
    mkdirSync(join(root, ID), { recursive: true });
    writeFileSync(join(root, ID, name), bytes);
    const state = stateIn(root, ID);
    if (state !== undefined) ensureTexts(state);
  }
}

const CGROUP = `0::/system.slice/docker-${ID}.scope/init\n12:cpu:/kubepods.slice/kubepods-burstable-pod${'1'.repeat(32)}.slice/cri-containerd-${ID}.scope\n3:x:/lxc.payload.web/a\n`;
const CONFIG = {
  annotations: {
    'io.container.manager': 'cri-o',
    'io.kubernetes.cri-o.ContainerType': 'container',
    'io.kubernetes.cri-o.SandboxID': ID,
    'io.kubernetes.cri-o.Labels':
      '{"io.kubernetes.pod.name":"p","io.kubernetes.pod.namespace":"n","pod-template-hash":"h"}',
    'io.kubernetes.cri-o.Metadata': '{"name":"c"}',
    'io.kubernetes.cri-o.ImageRef': `a@sha256:${ID}`,
  },
  mounts: [{ destination: '/etc/hostname', source: `/x/${ID}/hostname` }],
};
const CRI = {
  'container-type': 'container',
  'container-name': 'c',
  'sandbox-name': 'web-7',
  'sandbox-namespace': 'n',
};

export const TARGETS = {
  cgroup: {
    seeds: () => [CGROUP],
    words: ['0::/', ':', '/', '-', '.scope', 'machine-', 'lxc/', 'runc-', '\\x2d', 'systemd-nspawn@', ID],
    refusals: [],
    run: runCgroup,
  },
  accounts: {
    seeds: () => [
      '0 0 4294967295\n\0root:x:0:0::/root:/bin/sh\nnobody:x:65534:\n',
      '0 100000 65536\n65536 1 1\n\0a:b:1\n',
    ],
    words: [':', '\n', '4294967295', '0 0 1\n', '\u202e', 'é'],
    refusals: [],
    run: runAccounts,
  },
  commandLine: {
    seeds: () => [
      `/usr/bin/containerd-shim-runc-v2\0-namespace\0moby\0-id\0${ID}\0`,
      `conmon\0-c\0${ID}\0-n\0web\0-b\0/b\0--exit-command\0/usr/bin/podman\0`,
      'runc\0--root=/r\0run\0--bundle\0b\0web\0',
    ],
    words: ['-id\0', '--cid=', '=', '\0', '--root\0', 'crun\0create\0', '/', '..'],
    refusals: [],
    run: runCommandLine,
  },
  mounts: {
    seeds: () => [
      '25 1 8:1 / /mnt\\040x rw,relatime shared:1 master:2 - ext4 /dev/sda1 rw\n36 25 0:5 / /proc rw - proc p rw\n',
    ],
    words: [' - ', '\\040', '\n', '- ', ' '],
    refusals: [],
    run: (bytes) => parseMounts(bytes.toString()).forEach(ensureTexts),
  },
  ociBundle: {
    seeds: () => [
      JSON.stringify(CONFIG),
      JSON.stringify({ annotations: { 'io.container.manager': 'libpod' } }),
      JSON.stringify({
        annotations: Object.fromEntries(
          Object.entries(CRI).map(([key, value]) => [`io.kubernetes.cri.${key}`, value]),
        ),
      }),
    ],
    refusals: [],
    run: runBundle,
  },
  state: {
    seeds: () => [
      JSON.stringify({
        ...{ id: ID, init_process_pid: 7, init_process_start: 9, created: '2026-01-01T00:00:00Z' },
        ...{
          config: { labels: ['bundle=/b'] },
          cgroup_paths: { '': '/sys/fs/cgroup/a/b', cpu: '/sys/fs/cgroup/cpu/a' },
        },
      }),
      JSON.stringify({ pid: 7, 'process-start-time': 9, created: 'x', bundle: '/b', 'cgroup-path': 'a/b' }),
    ],
    refusals: [],
    run: runState,
  },
};
