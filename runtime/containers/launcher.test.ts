import { describe, expect, it } from 'vitest';
import { launcherOf, parseLauncher } from './launcher.js';

const ID = '0123456789abcdef'.repeat(4);
const OTHER = 'fedcba9876543210'.repeat(4);
const TASKS = '/run/containerd/io.containerd.runtime.v2.task';

const parse = (line: string, id?: string, cwd = '/work') => parseLauncher(line.split(' '), id, () => cwd);

describe('parseLauncher', () => {
  it("reads a shim's: the bundle is where it works", () => {
    const line = '/usr/bin/containerd-shim-runc-v2 -namespace default -id bb1 -address /run/containerd.sock';
    expect(parse(line, undefined, `${TASKS}/default/bb1`)).toEqual({
      ...{ id: 'bb1', name: '', runtime: 'containerd', bundle: `${TASKS}/default/bb1`, root: '' },
    });
  });

  it("finds another container of the pod beside the shim's sandbox", () => {
    const line = `containerd-shim-runc-v2 -namespace k8s.io -id ${ID} -address /run/containerd.sock`;
    expect(parse(line, OTHER, `${TASKS}/k8s.io/${ID}`)).toMatchObject({
      id: OTHER,
      bundle: `${TASKS}/k8s.io/${OTHER}`,
    });
  });

  it("knows docker's namespace", () => {
    const line = `containerd-shim-runc-v2 -namespace moby -id ${ID}`;
    expect(parse(line, ID)).toMatchObject({ runtime: 'docker', bundle: '' });
  });

  it("reads podman's conmon, which knows the name", () => {
    const line =
      `/usr/bin/conmon --api-version 1 -c ${ID} -u ${ID} -r /usr/bin/runc -b /store/${ID}/userdata -n web ` +
      '--exit-dir /run/libpod/exits --exit-command /usr/bin/podman --exit-command-arg --root';
    expect(parse(line, ID)).toEqual({
      ...{ id: ID, name: 'web', runtime: 'podman', bundle: `/store/${ID}/userdata`, root: '' },
    });
  });

  it("reads CRI-O's conmon, whose name is none of the container's", () => {
    const line = `/usr/bin/conmon -b /store/${ID}/userdata -c ${ID} --exit-dir /run/crio/exits -n k8s_web_shop_default_uid_0`;
    expect(parse(line, ID)).toMatchObject({ id: ID, name: '', runtime: 'cri-o' });
  });

  it.each([
    ['runc run c1', { id: 'c1', bundle: '/work', root: '' }],
    ['/usr/sbin/runc --root /srv/rr run -d --pid-file p c1', { id: 'c1', bundle: '/work', root: '/srv/rr' }],
    ['runc --root=rr --debug run --bundle=b c1', { id: 'c1', bundle: '/work/b', root: '/work/rr' }],
    ['crun run -b /srv/b --no-pivot c1', { id: 'c1', bundle: '/srv/b', root: '' }],
    ['runc --log /run/log.json --log-format json create --bundle /srv/b c1', { id: 'c1', bundle: '/srv/b' }],
  ])('reads %s', (line, found) => {
    expect(parse(line)).toMatchObject({ runtime: '', name: '', ...found });
  });

  it.each([
    '',
    'sh',
    'runc',
    'runc run',
    'runc exec c1 sh',
    'runc init',
    'conmon',
    'containerd-shim-runc-v2',
    'xrunc run c1',
  ])('makes nothing of "%s"', (line) => {
    expect(parse(line)).toBeUndefined();
  });
});

describe('launcherOf', () => {
  it('makes nothing of a process that is no launcher, or gone', () => {
    for (const pid of [0, 1, process.pid, 2 ** 22 + 1]) expect(launcherOf(pid, undefined)).toBeUndefined();
  });
});
