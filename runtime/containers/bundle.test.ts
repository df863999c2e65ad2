import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readBundle } from './bundle.js';

const ID = '0123456789abcdef'.repeat(4);
const SANDBOX = 'fedcba9876543210'.repeat(4);
const DIGEST = `sha256:${'ab'.repeat(32)}`;

describe('readBundle', () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'ig-bundle-'));
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  function write(path: string, content: unknown): void {
    const file = join(directory, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  }

  const read = (bundle: string) => readBundle(join(directory, bundle), ID);

  describe('of containerd', () => {
    // As containerd 1.6.20 wrote them.
    const annotations = {
      'io.kubernetes.cri.container-name': 'web',
      'io.kubernetes.cri.container-type': 'container',
      'io.kubernetes.cri.image-name': 'docker.io/library/nginx:1',
      'io.kubernetes.cri.sandbox-id': SANDBOX,
      'io.kubernetes.cri.sandbox-name': 'shop',
      'io.kubernetes.cri.sandbox-namespace': 'default',
      'io.kubernetes.cri.sandbox-uid': 'uid-1',
    };

    it('names the container, its pod and its image', () => {
      write('config.json', { annotations });
      expect(read('')).toMatchObject({
        runtime: 'containerd',
        name: 'web',
        imageName: 'docker.io/library/nginx:1',
        pod: {
          namespace: 'default',
          podName: 'shop',
          podUid: 'uid-1',
          containerName: 'web',
          sandboxId: SANDBOX,
        },
      });
    });

    it('takes an image that is given by its id for what it is', () => {
      write('config.json', { annotations: { ...annotations, 'io.kubernetes.cri.image-name': DIGEST } });
      expect(read('')).toMatchObject({ imageName: '', imageId: DIGEST });
    });

    it('knows a sandbox by its type', () => {
      write('config.json', {
        annotations: { ...annotations, 'io.kubernetes.cri.container-type': 'sandbox' },
      });
      expect(read('')).toMatchObject({ name: '', pod: { podName: 'shop', containerName: '' } });
    });

    it('knows a container of ctr by where its bundle is', () => {
      write('io.containerd.runtime.v2.task/default/bb1/config.json', {});
      const facts = read('io.containerd.runtime.v2.task/default/bb1');
      expect(facts).toMatchObject({ runtime: 'containerd', name: '', imageName: '' });
      expect(facts).not.toHaveProperty('pod');
    });

    it('names a container of nerdctl', () => {
      write('io.containerd.runtime.v2.task/default/x/config.json', {
        annotations: { 'nerdctl/name': 'web' },
      });
      expect(read('io.containerd.runtime.v2.task/default/x')?.name).toBe('web');
    });
  });

  // Keys and the shape of values as in bundles of CRI-O shown in https://github.com/cri-o/cri-o/issues/5557 and in
  // the specification of CRI-O's tests (internal/lib/suite_test.go).
  describe('of CRI-O', () => {
    const sandbox = {
      'io.container.manager': 'cri-o',
      'io.kubernetes.container.name': 'POD',
      'io.kubernetes.cri-o.Annotations':
        '{"kubernetes.io/config.source":"file","kubernetes.io/config.seen":"2022-01-07T11:33:26-06:00"}',
      'io.kubernetes.cri-o.ContainerType': 'sandbox',
      'io.kubernetes.cri-o.HostNetwork': 'true',
      'io.kubernetes.cri-o.Image': 'registry.k8s.io/pause:3.5',
      'io.kubernetes.cri-o.Labels': JSON.stringify({
        'io.kubernetes.container.name': 'POD',
        'io.kubernetes.pod.name': 'etcd-node1',
        'io.kubernetes.pod.namespace': 'kube-system',
        'io.kubernetes.pod.uid': 'aaaa2b4a-f398-41c0-928b-049e1cc4ec40',
        tier: 'control-plane',
      }),
      'io.kubernetes.cri-o.Metadata': '{"Name":"etcd-node1","Namespace":"kube-system","Attempt":0}',
      'io.kubernetes.cri-o.SandboxID': SANDBOX,
      'io.kubernetes.pod.name': 'etcd-node1',
      'io.kubernetes.pod.namespace': 'kube-system',
      'io.kubernetes.pod.uid': 'aaaa2b4a-f398-41c0-928b-049e1cc4ec40',
    };
    const container = {
      'io.container.manager': 'cri-o',
      'io.kubernetes.container.name': 'etcd',
      'io.kubernetes.cri-o.ContainerID': ID,
      'io.kubernetes.cri-o.ContainerType': 'container',
      'io.kubernetes.cri-o.Image': 'redis:alpine',
      'io.kubernetes.cri-o.ImageName': 'registry.k8s.io/etcd:3.5',
      'io.kubernetes.cri-o.ImageRef': `registry.k8s.io/etcd@${DIGEST}`,
      'io.kubernetes.cri-o.Labels': '{"io.kubernetes.container.name":"etcd"}',
      'io.kubernetes.cri-o.Metadata': '{"name":"etcd"}',
      'io.kubernetes.cri-o.SandboxID': SANDBOX,
      'io.kubernetes.pod.name': 'etcd-node1',
      'io.kubernetes.pod.namespace': 'kube-system',
      'io.kubernetes.pod.uid': 'aaaa2b4a-f398-41c0-928b-049e1cc4ec40',
    };

    it("names a static pod's container, with the labels and the owner that its sandbox tells", () => {
      write(`${SANDBOX}/userdata/config.json`, { annotations: sandbox });
      write(`${ID}/userdata/config.json`, { annotations: container });
      expect(read(`${ID}/userdata`)).toMatchObject({
        runtime: 'cri-o',
        name: 'etcd',
        imageName: 'registry.k8s.io/etcd:3.5',
        imageDigest: DIGEST,
        pod: {
          namespace: 'kube-system',
          podName: 'etcd-node1',
          podUid: 'aaaa2b4a-f398-41c0-928b-049e1cc4ec40',
          containerName: 'etcd',
          labels: { tier: 'control-plane' },
          ownerKind: 'Node',
          ownerName: process.env['NODE_NAME'] ?? hostname(),
          sandboxId: SANDBOX,
        },
      });
    });

    it('names a container whose sandbox is gone', () => {
      write(`${ID}/userdata/config.json`, { annotations: container });
      expect(read(`${ID}/userdata`)?.pod).toMatchObject({ podName: 'etcd-node1', labels: {} });
    });

    it('knows a sandbox by its type', () => {
      write(`${ID}/userdata/config.json`, { annotations: sandbox });
      expect(read(`${ID}/userdata`)).toMatchObject({ name: '', pod: { containerName: '' } });
    });
  });

  it('finds name and image of a container of podman in its storage', () => {
    write(`${ID}/userdata/config.json`, { annotations: { 'io.container.manager': 'libpod' } });
    write('containers.json', [
      { id: SANDBOX, names: ['other'] },
      // As podman 4.3.1 wrote it.
      {
        id: ID,
        names: ['web'],
        image: DIGEST.slice('sha256:'.length),
        metadata: '{"image-name":"docker.io/library/nginx:1","name":"web"}',
      },
    ]);
    expect(read(`${ID}/userdata`)).toMatchObject({
      runtime: 'podman',
      name: 'web',
      imageName: 'docker.io/library/nginx:1',
      imageId: DIGEST,
    });
  });

  it("finds name and image of a container of docker in the daemon's own files", () => {
    const bundle = `io.containerd.runtime.v2.task/moby/${ID}`;
    write(`${bundle}/config.json`, {
      mounts: [{ destination: '/etc/hostname', source: join(directory, 'containers', ID, 'hostname') }],
    });
    write(`containers/${ID}/config.v2.json`, { Name: '/web', Image: DIGEST, Config: { Image: 'nginx:1' } });
    expect(read(bundle)).toMatchObject({
      runtime: 'docker',
      name: 'web',
      imageName: 'nginx:1',
      imageId: DIGEST,
    });
  });

  describe('does not read', () => {
    it.each([
      ['no JSON', '{'],
      ['a file of more than a megabyte', JSON.stringify({ annotations: { a: 'a'.repeat(1 << 20) } })],
    ])('%s', (_, text) => {
      write('config.json', text);
      expect(read('')).toBeUndefined();
    });

    it('a link', () => {
      write('elsewhere.json', {});
      symlinkSync(join(directory, 'elsewhere.json'), join(directory, 'config.json'));
      expect(read('')).toBeUndefined();
    });

    it('a pipe', () => {
      execFileSync('mkfifo', [join(directory, 'config.json')]);
      expect(read('')).toBeUndefined();
    });

    it('a folder that is not given from the root on', () => {
      expect(readBundle('bundle', ID)).toBeUndefined();
    });
  });

  it.each([null, [], { annotations: null }, { annotations: { 'io.container.manager': 'libpod' } }])(
    'makes nothing of %j',
    (config) => {
      write('a/userdata/config.json', config);
      expect(read('a/userdata')).toMatchObject({ name: '', imageName: '', imageId: '' });
    },
  );
});
