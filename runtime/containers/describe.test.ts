import { mkdtempSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Container } from './container.js';
import { describeContainer, parseCgroups } from './describe.js';
import { mntnsOf } from './proc.js';

const ID = '49aca177bfb3995a3ab55b10984dfbf27b66dba391ab9a2d9ecfc53b77ea9751';

/** A container whose process is that of this test. */
function container(fields: Partial<Container> = {}): Container {
  return {
    key: ID,
    id: ID,
    name: 'web',
    runtime: 'docker',
    pid: process.pid,
    mntns: mntnsOf('self')!,
    imageName: '',
    imageDigest: '',
    imageId: '',
    startedAt: '',
    bundle: '',
    ...fields,
  };
}

function bundleWith(text: string): string {
  const bundle = mkdtempSync(join(tmpdir(), 'ig-bundle-'));
  onTestFinished(() => rmSync(bundle, { recursive: true }));
  writeFileSync(join(bundle, 'config.json'), text);
  return bundle;
}

describe('the description of a container', () => {
  it('leaves out what is not known', () => {
    const { runtime, ...rest } = describeContainer(container({ pid: 0, runtime: '' }));
    expect(runtime).toEqual({ containerId: ID, containerName: 'web' });
    expect(rest).toEqual({ mntns: mntnsOf('self') });
  });

  it('has namespaces and cgroups of its process', () => {
    const { netns, hostNetwork, cgroupPath, cgroupID } = describeContainer(container());
    expect(netns).toBe(statSync('/proc/self/ns/net').ino);
    expect(hostNetwork).toBeTypeOf('boolean');
    if (cgroupPath !== undefined) expect(cgroupID).toBe(statSync(cgroupPath).ino);
  });

  it('tells nothing of the process that has the number of one that ended', () => {
    const description = describeContainer(container({ mntns: 1 }));
    expect(description).not.toHaveProperty('netns');
    expect(description).not.toHaveProperty('cgroupV2');
  });

  it('says of a pod what its labels tell, and whose it is', () => {
    const pod = {
      namespace: 'shop',
      podName: 'web-x7k2p',
      podUid: '',
      containerName: 'nginx',
      labels: { app: 'web' },
      hostNetwork: true,
      ownerKind: 'DaemonSet',
      ownerName: 'web',
      sandboxId: 'abc',
    };
    const { k8s, sandboxId, hostNetwork } = describeContainer(container({ pid: 0, pod }));
    expect(k8s).toEqual({
      namespace: 'shop',
      podName: 'web-x7k2p',
      containerName: 'nginx',
      podLabels: { app: 'web' },
      hostnetwork: true,
      owner: { kind: 'DaemonSet', name: 'web' },
    });
    expect({ sandboxId, hostNetwork }).toEqual({ sandboxId: 'abc', hostNetwork: true });
  });

  it('holds the configuration of the bundle, unless it is none', () => {
    const bundle = bundleWith('{"ociVersion":"1.0.2"}');
    expect(describeContainer(container({ bundle }))).toMatchObject({
      bundle,
      ociConfig: '{"ociVersion":"1.0.2"}',
    });
    truncateSync(join(bundle, 'config.json'), (1 << 20) + 1);
    expect(describeContainer(container({ bundle }))).not.toHaveProperty('ociConfig');
    rmSync(join(bundle, 'config.json'));
    symlinkSync('/dev/zero', join(bundle, 'config.json'));
    expect(describeContainer(container({ bundle }))).not.toHaveProperty('ociConfig');
  });
});

describe('the cgroups of a container', () => {
  it('are its own, not those that it made below', () => {
    const text = `1:name=systemd:/docker/${ID}/init.scope\n0::/docker/${ID}/init.scope\n`;
    expect(parseCgroups(text, ID)).toEqual({ v1: `/docker/${ID}`, v2: `/docker/${ID}` });
  });

  it('are found by the key of a container with an id of its own', () => {
    expect(parseCgroups('0::/default/bb1/child\n', 'default/bb1')).toEqual({ v2: '/default/bb1' });
  });

  it('are where the engine put it in hierarchies that others use too', () => {
    const text = `9:name=systemd:/\n4:memory:/docker/${ID}\n1:cpu,cpuacct:/\n`;
    expect(parseCgroups(text, ID)).toEqual({ v1: `/docker/${ID}` });
  });

  it('are unknown where the file says nothing', () => {
    expect(parseCgroups('', ID)).toEqual({});
  });
});
