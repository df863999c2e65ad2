// Reads what an OCI bundle's config.json says of its container: engines write pod, image and name into annotations.

import { basename, dirname, isAbsolute, join } from 'node:path';
import type { RuntimeName } from './container.js';
import { arrayAt, parseJson, stringAt, stringsAt } from './engines/json.js';
import { isThere, namesIn, readJson } from './host-files.js';
import { podOf } from './kubernetes.js';
import type { PodIdentity } from './container.js';

/** What a bundle tells. Empty strings are what it does not. */
export interface BundleFacts {
  /** The bundle's folder. */
  readonly bundle: string;
  readonly runtime: RuntimeName | '';
  readonly name: string;
  readonly imageName: string;
  readonly imageDigest: string;
  readonly imageId: string;
  readonly pod?: PodIdentity;
}

type Annotations = Readonly<Record<string, string>>;

const MAX_CONFIG_BYTES = 1 << 20;
/** The list of all containers of a storage, of 500 bytes each. */
const MAX_STORAGE_BYTES = 1 << 19;
const MAX_NAMESPACES = 64;

const TASKS = 'io.containerd.runtime.v2.task';
/** Where containerd keeps bundles by default, alone, in k3s and in docker: in a folder for each of its namespaces. */
const TASK_FOLDERS = ['/run/containerd', '/run/k3s/containerd', '/run/docker/containerd/daemon'];
/** Where podman and CRI-O do. */
const STORAGES = ['/var/lib/containers/storage', '/run/containers/storage'];

/** Where the bundle of a container usually is; empty when it is not there. */
export function findBundle(id: string): string {
  const places = STORAGES.map((storage) => join(storage, 'overlay-containers', id, 'userdata'));
  for (const folder of TASK_FOLDERS) {
    const tasks = join(folder, TASKS);
    places.push(...namesIn(tasks, MAX_NAMESPACES).map((namespace) => join(tasks, namespace, id)));
  }
  return places.find((place) => isThere(join(place, 'config.json'))) ?? '';
}

/** Undefined when there is no readable bundle. */
export function readBundle(bundle: string, id: string): BundleFacts | undefined {
  if (!isAbsolute(bundle)) return undefined;
  const config = readJson(join(bundle, 'config.json'), MAX_CONFIG_BYTES);
  if (config === undefined) return undefined;
  const annotations = stringsAt(config, 'annotations');
  const facts = { ...NOTHING, bundle };
  const manager = annotations['io.container.manager'];
  if (manager === 'libpod') return { ...facts, runtime: 'podman', ...storedFacts(bundle, id) };
  if (manager === 'cri-o' || annotations['io.kubernetes.cri-o.ContainerType'] !== undefined) {
    return { ...facts, ...crioFacts(annotations, bundle) };
  }
  if (annotations['io.kubernetes.cri.container-type'] !== undefined) {
    return { ...facts, ...containerdPodFacts(annotations) };
  }
  const namespace = dirname(bundle);
  const runtime = basename(dirname(namespace)) === TASKS ? 'containerd' : '';
  if (runtime !== '' && basename(namespace) === 'moby') return { ...facts, ...dockerFacts(config, id) };
  return { ...facts, runtime, name: annotations['nerdctl/name'] ?? '' };
}

const NOTHING: BundleFacts = {
  bundle: '',
  runtime: '',
  name: '',
  imageName: '',
  imageDigest: '',
  imageId: '',
};

/** https://github.com/containerd/containerd/blob/v1.6.20/pkg/cri/annotations/annotations.go */
function containerdPodFacts(annotations: Annotations): Partial<BundleFacts> {
  const of = (key: string): string => annotations[`io.kubernetes.cri.${key}`] ?? '';
  const name = of('container-type') === 'sandbox' ? '' : of('container-name');
  const pod = podOf({
    labels: {
      'io.kubernetes.pod.name': of('sandbox-name'),
      'io.kubernetes.pod.namespace': of('sandbox-namespace'),
      'io.kubernetes.pod.uid': of('sandbox-uid'),
      'io.kubernetes.container.name': name,
    },
    sandboxId: of('sandbox-id'),
  });
  return { runtime: 'containerd', name, ...imageOf(of('image-name')), ...(pod && { pod }) };
}

/**
 * https://github.com/containers/podman/blob/v4.3.1/pkg/annotations/annotations.go, and kubelet's own annotations; the
 * labels of the pod are with its sandbox.
 */
function crioFacts(annotations: Annotations, bundle: string): Partial<BundleFacts> {
  const of = (key: string): string => annotations[`io.kubernetes.cri-o.${key}`] ?? '';
  const isSandbox = of('ContainerType') === 'sandbox';
  const sandboxId = of('SandboxID');
  const ofPod = isSandbox ? annotations : annotationsBeside(bundle, sandboxId);
  const podLabels = stringsIn(ofPod['io.kubernetes.cri-o.Labels']);
  const labels = { ...podLabels, ...stringsIn(of('Labels')), ...annotations };
  const metadata = parseJson(of('Metadata'));
  const name = isSandbox ? '' : labels['io.kubernetes.container.name'] || stringAt(metadata, 'name');
  const pod = podOf({
    labels: { ...labels, 'io.kubernetes.container.name': name },
    podLabels,
    podAnnotations: stringsIn(ofPod['io.kubernetes.cri-o.Annotations']),
    sandboxId,
  });
  const image = isSandbox ? {} : { ...imageOf(of('ImageRef')), imageName: of('ImageName') || of('Image') };
  return { runtime: 'cri-o', name, ...image, ...(pod && { pod }) };
}

/** The annotations of another container of the same storage: STORAGE/overlay-containers/ID/userdata. */
function annotationsBeside(bundle: string, id: string): Annotations {
  if (!/^[0-9a-f]{64}$/.test(id)) return {};
  const path = join(dirname(dirname(bundle)), id, 'userdata', 'config.json');
  return stringsAt(readJson(path, MAX_CONFIG_BYTES), 'annotations');
}

function stringsIn(json: string | undefined): Record<string, string> {
  return json === undefined ? {} : stringsAt(parseJson(json));
}

/** A reference may be a name, `name@sha256:…` (manifest), `sha256:…` or 64 digits (configuration). */
function imageOf(reference: string): Partial<BundleFacts> {
  if (/^(sha256:)?[0-9a-f]{64}$/.test(reference)) return { imageId: `sha256:${reference.slice(-64)}` };
  const digest = /@(sha256:[0-9a-f]{64})$/.exec(reference)?.[1] ?? '';
  return { imageName: reference, imageDigest: digest };
}

/** What the storage of podman remembers: https://github.com/containers/storage/blob/v1.43.0/containers.go */
function storedFacts(bundle: string, id: string): Partial<BundleFacts> {
  const list = readJson(join(dirname(dirname(bundle)), 'containers.json'), MAX_STORAGE_BYTES);
  const entry = arrayAt(list).find((container) => stringAt(container, 'id') === id);
  const metadata = parseJson(stringAt(entry, 'metadata'));
  return {
    name: arrayAt(entry, 'names').find((name) => typeof name === 'string') ?? '',
    ...imageOf(stringAt(entry, 'image')),
    imageName: stringAt(metadata, 'image-name'),
  };
}

/** What dockerd remembers beside the hostname that it mounts: DATA/containers/ID/config.v2.json. */
function dockerFacts(config: unknown, id: string): Partial<BundleFacts> {
  const mount = arrayAt(config, 'mounts').find((one) => stringAt(one, 'destination') === '/etc/hostname');
  const folder = dirname(stringAt(mount, 'source'));
  if (!isAbsolute(folder) || basename(folder) !== id) return { runtime: 'docker' };
  const json = readJson(join(folder, 'config.v2.json'), MAX_CONFIG_BYTES);
  return {
    runtime: 'docker',
    name: stringAt(json, 'Name').replace(/^\//, ''),
    ...imageOf(stringAt(json, 'Image')),
    imageName: stringAt(json, 'Config', 'Image'),
  };
}
