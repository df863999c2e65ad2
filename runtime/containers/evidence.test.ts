import { describe, expect, it } from 'vitest';
import { evidenceOf } from './evidence.js';
import type { Sighting } from './sighting.js';

const ID = '0123456789abcdef'.repeat(4);
/** More than Linux gives to processes, so that only what the kernel reported is left. */
const GONE = 2 ** 22 + 1;

function sighting(fields: Partial<Sighting>): Sighting {
  return {
    mntns: 1,
    pid: GONE,
    parentPid: GONE,
    ownPids: true,
    cgroupId: 0,
    sharesCgroup: false,
    bootNs: 1e9,
    sinceBootNs: 1e9,
    cgroup: '',
    parentCgroup: '',
    ancestor: '',
    ...fields,
  };
}

describe('evidenceOf a process that is gone', () => {
  it('takes an id for a container whatever else is known', () => {
    const seen = sighting({ cgroup: `docker-${ID}.scope`, parentCgroup: 'system.slice', ownPids: false });
    expect(evidenceOf(seen, ID)).toMatchObject({ details: { key: ID, id: ID, name: ID.slice(0, 12) } });
  });

  it.each([
    [{ cgroup: 'ig-no-such', parentCgroup: '' }, '/ig-no-such', 'ig-no-such'],
    [{ cgroup: 'ig-no-such', parentCgroup: 'default' }, 'default/ig-no-such', 'ig-no-such'],
    [{ cgroup: 'lxc.payload.web', parentCgroup: '' }, '/lxc.payload.web', 'web'],
    [{ cgroup: 'runc-web.scope', parentCgroup: 'system.slice' }, 'system.slice/runc-web.scope', 'web'],
    [
      { cgroup: 'machine-my\\x2dweb.scope', parentCgroup: 'machine.slice' },
      'machine.slice/machine-my\\x2dweb.scope',
      'my-web',
    ],
  ])('names a container by its cgroup %j', (names, key, id) => {
    expect(evidenceOf(sighting(names), undefined)).toEqual({
      runtime: '',
      details: {
        ...{ key, id, name: id, pid: GONE, bundle: '', startedAt: '' },
        ...{ imageName: '', imageDigest: '', imageId: '' },
      },
    });
  });

  it.each([
    ['has no pid namespace of its own', { cgroup: 'x', ownPids: false }],
    ['has no pid namespace of its own in an LXC cgroup', { cgroup: 'lxc.payload.x', ownPids: false }],
    ['is in the root cgroup', {}],
    ['is where its parent was', { cgroup: 'x', sharesCgroup: true }],
    ['is a service', { cgroup: 'nginx.service', parentCgroup: 'system.slice' }],
    ['is in a session', { cgroup: 'session-1.scope', parentCgroup: 'user-0.slice' }],
    ['is an application', { cgroup: 'app-flatpak-x-1.scope', parentCgroup: 'app.slice' }],
    ['is a virtual machine', { cgroup: 'machine-qemu\\x2d1.scope', ownPids: false }],
  ])('takes what %s for the host', (_, fields) => {
    expect(evidenceOf(sighting(fields), undefined)).toBeUndefined();
  });
});
