import { hostname } from 'node:os';
import { describe, expect, it } from 'vitest';
import { formatLabels, ownerOf, podOf } from './kubernetes.js';

/** As kubelet labels every container (pkg/kubelet/kuberuntime/labels.go). */
const LABELS = {
  'io.kubernetes.container.name': 'web',
  'io.kubernetes.pod.name': 'web-0',
  'io.kubernetes.pod.namespace': 'shop',
  'io.kubernetes.pod.uid': 'aaaa2b4a-f398-41c0-928b-049e1cc4ec40',
};

describe('the pod of a container', () => {
  it('is told by the labels that kubelet gives it', () => {
    expect(podOf({ labels: LABELS, sandboxId: 'f00d', hostNetwork: true })).toEqual({
      namespace: 'shop',
      podName: 'web-0',
      podUid: 'aaaa2b4a-f398-41c0-928b-049e1cc4ec40',
      containerName: 'web',
      labels: {},
      hostNetwork: true,
      ownerKind: '',
      ownerName: '',
      sandboxId: 'f00d',
    });
  });

  it('is unknown without them', () => {
    expect(podOf({ labels: { app: 'web' } })).toBeUndefined();
    expect(podOf({ labels: { ...LABELS, 'io.kubernetes.pod.namespace': '' } })).toBeUndefined();
  });

  it('does not say anything of its network when nobody did', () => {
    expect(podOf({ labels: LABELS })).not.toHaveProperty('hostNetwork');
  });

  it('has the labels of its user, not those of kubelet and engines', () => {
    const podLabels = {
      ...LABELS,
      'io.cri-containerd.kind': 'sandbox',
      'io.kubernetes.io/mine': 'kept',
      app: 'web',
      'app.kubernetes.io/name': 'shop',
    };
    expect(podOf({ labels: LABELS, podLabels })?.labels).toEqual({
      'io.kubernetes.io/mine': 'kept',
      app: 'web',
      'app.kubernetes.io/name': 'shop',
    });
  });

  it('is that of a sandbox, which has no container name, or that of CRI-O', () => {
    const { 'io.kubernetes.container.name': _, ...unnamed } = LABELS;
    expect(podOf({ labels: unnamed })?.containerName).toBe('');
    expect(podOf({ labels: { ...unnamed, 'io.kubernetes.container.name': 'POD' } })?.containerName).toBe('');
  });
});

describe('the owner of a pod', () => {
  // Names and labels as controllers of Kubernetes 1.29 give them.
  it.each([
    ['nginx-5869d7778c-2dlxw', { app: 'nginx', 'pod-template-hash': '5869d7778c' }, 'Deployment', 'nginx'],
    ['a-b-6c-6c-x2x2x', { 'pod-template-hash': '6c' }, 'Deployment', 'a-b-6c'],
    [
      'db-12',
      { 'controller-revision-hash': 'db-7d9', 'statefulset.kubernetes.io/pod-name': 'db-12' },
      'StatefulSet',
      'db',
    ],
    [
      'kube-proxy-9rxqv',
      { 'controller-revision-hash': '55c9', 'k8s-app': 'kube-proxy', 'pod-template-generation': '1' },
      'DaemonSet',
      'kube-proxy',
    ],
    ['pi-4xk2b', { 'batch.kubernetes.io/job-name': 'pi', 'job-name': 'pi' }, 'Job', 'pi'],
    ['pi-4xk2b', { 'job-name': 'pi' }, 'Job', 'pi'],
    ['hello-28459020-wv7rz', { 'job-name': 'hello-28459020' }, 'CronJob', 'hello'],
    ['alone', { app: 'alone' }, '', ''],
    ['odd-name', { 'pod-template-hash': '5869d7778c' }, '', ''],
  ])('of %s is told by its labels', (podName, labels, kind, name) => {
    expect(ownerOf(podName, labels, {})).toEqual({ kind, name });
  });

  it.each(['file', 'http'])('of a static pod (%s) is the node', (source) => {
    const annotations = { 'kubernetes.io/config.source': source };
    expect(ownerOf('etcd-node1', { tier: 'control-plane' }, annotations)).toEqual({
      kind: 'Node',
      name: process.env['NODE_NAME'] || hostname(),
    });
    expect(ownerOf('alone', {}, { 'kubernetes.io/config.source': 'api' }).kind).toBe('');
  });
});

describe('labels as text', () => {
  it('are in the order of their keys', () => {
    expect(formatLabels({ b: '2', a: '1', 'a.b/c': '' })).toBe('a=1,a.b/c=,b=2');
    expect(formatLabels({})).toBe('');
  });
});
