import { describe, expect, it } from 'vitest';
import { containerIdInPath, containerIdOf, namedCgroupIn, parseCgroupFile, podUidOf } from './cgroup.js';

const ID = '0123456789abcdef'.repeat(4);
const OTHER = 'fedcba9876543210'.repeat(4);

describe('containerIdOf', () => {
  it.each([
    ID,
    `docker-${ID}.scope`,
    `cri-containerd-${ID}.scope`,
    `crio-${ID}.scope`,
    `crio-${ID}`,
    `libpod-${ID}`,
    `libpod-${ID}.scope`,
    `nerdctl-${ID}.scope`,
    `kubelet-kubepods-pod1_2.slice:cri-containerd:${ID}`,
  ])('finds the id in %s', (name) => {
    expect(containerIdOf(name)).toBe(ID);
  });

  it.each([
    '',
    '/',
    'system.slice',
    'nginx.service',
    ID.slice(1),
    `${ID}0`,
    ID.toUpperCase(),
    `docker-${ID}.slice`,
    `docker-${ID}.scope.d`,
    `libpod-conmon-${ID}.scope`,
    `crio-conmon-${ID}.scope`,
    `kubepods-besteffort-pod0a1b2c3d_0000_1111_2222_333344445555.slice`,
  ])('finds none in "%s"', (name) => {
    expect(containerIdOf(name)).toBeUndefined();
  });
});

describe('containerIdInPath', () => {
  it('takes the innermost container', () => {
    expect(containerIdInPath(`/docker/${ID}/docker/${OTHER}`)).toBe(OTHER);
  });

  it('takes the container a process lies deeper in', () => {
    expect(containerIdInPath(`/docker/${ID}/system.slice/nginx.service`)).toBe(ID);
  });
});

describe('parseCgroupFile', () => {
  it('prefers the v2 tree, and tells the cgroup of the container itself', () => {
    const text = `9:name=systemd:/docker/${OTHER}\n0::/docker/${ID}/init.scope\n`;
    expect(parseCgroupFile(text)).toEqual({ containerId: ID, unifiedPath: `/docker/${ID}` });
  });

  it('is content with v1', () => {
    const text = `9:name=systemd:/\n4:cpu,cpuacct:/docker/${ID}\n0::/\n`;
    expect(parseCgroupFile(text)).toEqual({ containerId: ID });
  });

  it('finds no container for a process of the host', () => {
    expect(parseCgroupFile('4:memory:/user.slice\n0::/system.slice/ssh.service\n')).toBeUndefined();
    expect(parseCgroupFile('')).toBeUndefined();
  });
});

describe('namedCgroupIn', () => {
  it.each([
    ['/lxc.payload.web/system.slice/nginx.service', 'web', '/lxc.payload.web'],
    ['/lxc.payload/web', 'web', '/lxc.payload/web'],
    ['/lxc/web/init.scope', 'web', '/lxc/web'],
    ['/machine.slice/machine-my\\x2dweb.scope/payload', 'my-web', '/machine.slice/machine-my\\x2dweb.scope'],
    [
      '/machine.slice/systemd-nspawn@web.service/payload/system.slice',
      'web',
      '/machine.slice/systemd-nspawn@web.service',
    ],
    ['/system.slice/runc-c1.scope', 'c1', '/system.slice/runc-c1.scope'],
    ['/user.slice/crun-c1.scope/container', 'c1', '/user.slice/crun-c1.scope'],
  ])('finds the container in %s', (path, name, own) => {
    expect(namedCgroupIn(path)).toEqual({ name, path: own });
  });

  it.each([
    '/',
    '/lxc.monitor.web',
    '/system.slice/lxc.service',
    '/system.slice/runc-c1.service',
    '/machine.slice',
    '/machine.slice/systemd-nspawn@web.service',
    '/user.slice/app-firefox.scope',
  ])('finds none in %s', (path) => {
    expect(namedCgroupIn(path)).toBeUndefined();
  });
});

describe('podUidOf', () => {
  it.each([
    ['pod0a1b2c3d-0000-1111-2222-333344445555', '0a1b2c3d-0000-1111-2222-333344445555'],
    [
      'kubepods-besteffort-pod0a1b2c3d_0000_1111_2222_333344445555.slice',
      '0a1b2c3d-0000-1111-2222-333344445555',
    ],
    // Of a static pod: the hash of its file.
    [`kubepods-pod${'0a'.repeat(16)}.slice`, '0a'.repeat(16)],
  ])('finds the uid in %s', (name, uid) => {
    expect(podUidOf(name)).toBe(uid);
  });

  it.each(['', 'besteffort', 'podman.service', 'pod1', 'user-1000.slice'])('finds none in "%s"', (name) => {
    expect(podUidOf(name)).toBeUndefined();
  });
});
