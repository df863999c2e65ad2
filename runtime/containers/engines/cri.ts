// CRI-O, and containerd where asked for, through the Kubernetes container runtime interface (proto/cri/api.proto).

import { setTimeout as sleep } from 'node:timers/promises';
import { isContainerId } from '../cgroup.js';
import type { PodIdentity } from '../container.js';
import { EngineAnswerError, unlessMissing } from '../errors.js';
import { podOf } from '../kubernetes.js';
import type { Engine, EngineContainer, EngineEvent } from './engine.js';
import { greet, GrpcClient, NOT_FOUND, UNIMPLEMENTED } from './grpc.js';
import { arrayAt, at, countAt, parseJson, stringAt, stringsAt } from './json.js';
import { mapLimited } from './map-limited.js';
import { remember } from './remember.js';
import { type EngineSocket, engineSocket, unreachable } from './socket.js';

const CONNECT_TIMEOUT_MS = 1000;
const LIST_TIMEOUT_MS = 5000;
/** Events of a new container wait for this answer. */
const INSPECT_TIMEOUT_MS = 400;
const INSPECTS_AT_ONCE = 8;
const POLL_MS = 1000;
/** Sandboxes and images remembered; far more than a machine has. */
const MAX_REMEMBERED = 4096;
/** OCI configurations, which are the most of it, have some ten KiB. */
const MAX_INFO_CHARS = 1 << 20;
/**
 * First versions that send every event to every client. Older ones hand an event to one of them: it would be missing
 * from kubelet (containerd issue 7318, cri-o issue 6466).
 */
const EVENTS_SINCE: Readonly<Record<string, readonly [number, number]>> = {
  containerd: [2, 0],
  'cri-o': [1, 28],
};

export interface CriOptions {
  readonly name: 'cri-o' | 'containerd';
  /** `--crio-socketpath`, `--containerd-socketpath`; the usual places when left out. */
  readonly socketPath?: string | undefined;
}

/** What every container of a pod shares. It never changes. */
interface Sandbox {
  readonly id: string;
  readonly podName: string;
  readonly namespace: string;
  readonly podUid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Undefined when nobody said. */
  readonly hostNetwork: boolean | undefined;
}

interface Image {
  readonly id: string;
  readonly digest: string;
  /** A name it has; empty when it has none, or was not asked for. */
  readonly tag: string;
}

type Life = 'created' | 'running' | 'ended';

export class CriEngine implements Engine {
  readonly name: 'cri-o' | 'containerd';
  readonly #socket: EngineSocket;
  readonly #grpc: GrpcClient;
  readonly #sandboxes = new Map<string, Sandbox>();
  readonly #images = new Map<string, Image>();
  #streamsEvents = false;

  constructor({ name, socketPath }: CriOptions) {
    this.name = name;
    this.#socket = engineSocket(name, socketPath);
    this.#grpc = new GrpcClient(this.address, { folder: 'cri', files: ['api.proto'] });
  }

  get address(): string {
    return this.#socket.path;
  }

  async connect(): Promise<void> {
    const deadlineMs = Date.now() + CONNECT_TIMEOUT_MS;
    try {
      await greet(this.address, CONNECT_TIMEOUT_MS);
      const version = await this.#ask('RuntimeService/Version', {}, deadlineMs);
      this.#streamsEvents = streamsEvents(
        stringAt(version, 'runtimeName'),
        stringAt(version, 'runtimeVersion'),
      );
    } catch (cause) {
      throw unreachable(this.#socket, statusOf(cause) === UNIMPLEMENTED ? NO_CRI : cause);
    }
  }

  async list(): Promise<EngineContainer[]> {
    const deadlineMs = Date.now() + LIST_TIMEOUT_MS;
    const [sandboxes, containers] = await this.#listings(deadlineMs);
    const found = await mapLimited(sandboxes, INSPECTS_AT_ONCE, (entry) => this.#listedSandbox(entry));
    const rest = await mapLimited(containers, INSPECTS_AT_ONCE, (entry) => this.#listedContainer(entry));
    return [...found, ...rest].filter((container) => container !== undefined);
  }

  async inspect(key: string): Promise<EngineContainer | undefined> {
    if (!isContainerId(key)) return undefined;
    const deadlineMs = Date.now() + INSPECT_TIMEOUT_MS;
    return (await this.#container(key, deadlineMs)) ?? (await this.#sandboxContainer(key, deadlineMs));
  }

  async watch(onEvent: (event: EngineEvent) => void, signal: AbortSignal): Promise<void> {
    if (this.#streamsEvents && (await this.#stream(onEvent, signal))) return;
    await this.#poll(onEvent, signal);
  }

  close(): void {
    this.#grpc.close();
  }

  /** False when the server has no events: CRI-O ends the stream at once unless `enable_pod_events` is set. */
  async #stream(onEvent: (event: EngineEvent) => void, signal: AbortSignal): Promise<boolean> {
    const done = new AbortController();
    const either = AbortSignal.any([signal, done.signal]);
    let heard = false;
    const onMessage = (message: unknown): void => {
      heard = true;
      this.#remember(at(message, 'podSandboxStatus'));
      const event = eventOf(message);
      if (event === undefined) return;
      if (event.kind === 'deleted') this.#sandboxes.delete(event.key);
      onEvent(event);
    };
    const request = { onMessage, signal: either };
    const stream = this.#grpc.stream(`${PACKAGE}RuntimeService/GetContainerEvents`, {}, request);
    // Nothing says that a stream is open. What is asked after it is answered after it, too.
    const answered = this.#ask('RuntimeService/Version', {}, Date.now() + CONNECT_TIMEOUT_MS).then(() => {
      if (!either.aborted) onEvent({ kind: 'open' });
    });
    try {
      await Promise.all([stream, answered]);
    } catch (error) {
      if (statusOf(error) === UNIMPLEMENTED) return false;
      throw error;
    } finally {
      done.abort();
    }
    if (heard && !signal.aborted) throw new EngineAnswerError('the stream of events ended');
    return signal.aborted;
  }

  async #poll(onEvent: (event: EngineEvent) => void, signal: AbortSignal): Promise<void> {
    let before = await this.#lives();
    onEvent({ kind: 'open' });
    while (await pause(POLL_MS, signal)) {
      const now = await this.#lives();
      for (const event of differences(before, now)) onEvent(event);
      for (const id of before.keys()) if (!now.has(id)) this.#sandboxes.delete(id);
      before = now;
    }
  }

  /** How far every container, and every sandbox, is in its life. */
  async #lives(): Promise<Map<string, Life>> {
    const [sandboxes, containers] = await this.#listings(Date.now() + LIST_TIMEOUT_MS);
    return new Map([...sandboxes, ...containers].map((entry) => [stringAt(entry, 'id'), lifeOf(entry)]));
  }

  async #listings(deadlineMs: number): Promise<[readonly unknown[], readonly unknown[]]> {
    const [sandboxes, containers] = await Promise.all([
      this.#ask('RuntimeService/ListPodSandbox', {}, deadlineMs),
      this.#ask('RuntimeService/ListContainers', {}, deadlineMs),
    ]);
    return [arrayAt(sandboxes, 'items'), arrayAt(containers, 'containers')];
  }

  async #listedSandbox(entry: unknown): Promise<EngineContainer | undefined> {
    const sandbox = sandboxOf(entry);
    const listed = sandboxContainer(sandbox, entry, undefined);
    if (lifeOf(entry) !== 'running') return listed;
    // Only the status tells the pid and the network. One that fails leaves what the listing said.
    const deadlineMs = Date.now() + INSPECT_TIMEOUT_MS;
    return this.#sandboxContainer(sandbox.id, deadlineMs).catch(() => listed);
  }

  async #listedContainer(entry: unknown): Promise<EngineContainer | undefined> {
    const deadlineMs = Date.now() + INSPECT_TIMEOUT_MS;
    const id = stringAt(entry, 'id');
    const sandboxId = stringAt(entry, 'podSandboxId');
    try {
      if (lifeOf(entry) === 'running') return await this.#container(id, deadlineMs, sandboxId);
    } catch {
      // What the listing said will do.
    }
    return this.#described(entry, undefined, sandboxId, deadlineMs);
  }

  /** Undefined when there is no such container, as for a sandbox's. */
  async #container(id: string, deadlineMs: number, listedIn = ''): Promise<EngineContainer | undefined> {
    const request = { containerId: id, verbose: true };
    const answer = await this.#find('RuntimeService/ContainerStatus', request, deadlineMs);
    if (answer === undefined) return undefined;
    const info = infoIn(answer);
    const sandboxId = stringAt(info, 'sandboxID') || listedIn;
    return this.#described(at(answer, 'status'), info, sandboxId, deadlineMs);
  }

  /** `status` may be an entry of a listing as well, which knows less. */
  async #described(
    status: unknown,
    info: unknown,
    sandboxId: string,
    deadlineMs: number,
  ): Promise<EngineContainer> {
    const imageName = imageNameOf(status, info);
    const [sandbox, image] = await Promise.all([
      this.#sandbox(sandboxId, deadlineMs),
      this.#image(status, imageName, deadlineMs),
    ]);
    const id = stringAt(status, 'id');
    const pod = podOfContainer(status, sandboxId, sandbox);
    const runs = lifeOf(status) === 'running';
    return {
      key: id,
      id,
      name: stringAt(status, 'metadata', 'name'),
      pid: runs ? countAt(info, 'pid') : 0,
      imageName: imageName || image.tag || stringAt(status, 'image', 'image'),
      imageDigest: image.digest,
      imageId: image.id,
      startedAt: runs ? timeOf(stringAt(status, 'startedAt')) : '',
      bundle: '',
      ...(pod !== undefined && { pod }),
    };
  }

  async #sandboxContainer(id: string, deadlineMs: number): Promise<EngineContainer | undefined> {
    const request = { podSandboxId: id, verbose: true };
    const answer = await this.#find('RuntimeService/PodSandboxStatus', request, deadlineMs);
    if (answer === undefined) return undefined;
    const status = at(answer, 'status');
    return sandboxContainer(this.#remember(status) ?? sandboxOf(status), status, infoIn(answer));
  }

  /** Undefined when it cannot be had: what the container's own labels say of its pod must do then. */
  async #sandbox(id: string, deadlineMs: number): Promise<Sandbox | undefined> {
    const known = this.#sandboxes.get(id);
    if (known !== undefined || id === '') return known;
    const request = { podSandboxId: id, verbose: false };
    const answer = await this.#find('RuntimeService/PodSandboxStatus', request, deadlineMs).catch(
      () => undefined,
    );
    return this.#remember(at(answer, 'status'));
  }

  #remember(status: unknown): Sandbox | undefined {
    const sandbox = sandboxOf(status);
    if (sandbox.id === '') return undefined;
    remember(this.#sandboxes, sandbox.id, sandbox, MAX_REMEMBERED);
    return sandbox;
  }

  /** Engines tell an image by its id or by a digest, in newer versions by both; asked for the rest once per image. */
  async #image(status: unknown, imageName: string, deadlineMs: number): Promise<Image> {
    const used = stringAt(status, 'image', 'image');
    const reference = stringAt(status, 'imageRef') || used;
    const ids = [stringAt(status, 'imageId'), reference, used].map(imageIdIn);
    const told = { id: ids.find((id) => id !== '') ?? '', digest: digestIn(reference), tag: '' };
    if ((told.id !== '' && told.digest !== '' && imageName !== '') || reference === '') return told;
    const known = this.#images.get(reference);
    if (known !== undefined) return known;
    const request = { image: { image: reference }, verbose: false };
    try {
      const image = at(await this.#ask('ImageService/ImageStatus', request, deadlineMs), 'image');
      const complete = completed(told, image);
      remember(this.#images, reference, complete, MAX_REMEMBERED);
      return complete;
    } catch {
      // The next container asks again.
      return told;
    }
  }

  /** Undefined when the engine knows no such thing. */
  #find(method: string, request: object, deadlineMs: number): Promise<unknown> {
    return unlessMissing(this.#ask(method, request, deadlineMs), NOT_FOUND);
  }

  #ask(method: string, request: object, deadlineMs: number): Promise<unknown> {
    return this.#grpc.call(PACKAGE + method, request, { timeoutMs: Math.max(1, deadlineMs - Date.now()) });
  }
}

const PACKAGE = 'runtime.v1.';
const NO_CRI = new Error('it does not offer the Kubernetes container runtime interface (runtime.v1)');

function statusOf(error: unknown): number | undefined {
  return error instanceof EngineAnswerError ? error.status : undefined;
}

/** `1.6.20~ds1`, `v2.0.0`. */
function streamsEvents(runtime: string, version: string): boolean {
  const since = Object.hasOwn(EVENTS_SINCE, runtime) ? EVENTS_SINCE[runtime] : undefined;
  const parts = /^v?(\d+)\.(\d+)/.exec(version);
  if (since === undefined || parts === null) return false;
  const [major, minor] = [Number(parts[1]), Number(parts[2])];
  return major > since[0] || (major === since[0] && minor >= since[1]);
}

/** What a verbose answer tells beyond the protocol, in JSON: `pid`, `sandboxID`, `runtimeSpec`. */
function infoIn(answer: unknown): unknown {
  const text = stringAt(answer, 'info', 'info');
  return text.length > MAX_INFO_CHARS ? undefined : parseJson(text);
}

const LIVES: Readonly<Record<string, Life>> = {
  CONTAINER_CREATED: 'created',
  CONTAINER_RUNNING: 'running',
  SANDBOX_READY: 'running',
};

function lifeOf(status: unknown): Life {
  const state = stringAt(status, 'state');
  return Object.hasOwn(LIVES, state) ? LIVES[state]! : 'ended';
}

/** From PodSandbox or PodSandboxStatus. */
function sandboxOf(status: unknown): Sandbox {
  const network = stringAt(status, 'linux', 'namespaces', 'options', 'network');
  return {
    id: stringAt(status, 'id'),
    podName: stringAt(status, 'metadata', 'name'),
    namespace: stringAt(status, 'metadata', 'namespace'),
    podUid: stringAt(status, 'metadata', 'uid'),
    labels: stringsAt(status, 'labels'),
    annotations: stringsAt(status, 'annotations'),
    hostNetwork: network === '' ? undefined : network === 'NODE',
  };
}

function sandboxContainer(sandbox: Sandbox, status: unknown, info: unknown): EngineContainer {
  const { id } = sandbox;
  const runs = lifeOf(status) === 'running';
  // CRI-O labels it with the container name POD.
  const { [CONTAINER_NAME]: _, ...labels } = sandbox.labels;
  const pod = podIn(labels, id, sandbox);
  return {
    key: id,
    id,
    name: sandbox.podName,
    pid: runs ? countAt(info, 'pid') : 0,
    imageName: stringAt(info, 'image'),
    imageDigest: '',
    imageId: '',
    startedAt: runs ? timeOf(stringAt(status, 'createdAt')) : '',
    bundle: '',
    ...(pod !== undefined && { pod }),
  };
}

const CONTAINER_NAME = 'io.kubernetes.container.name';

function podOfContainer(
  status: unknown,
  sandboxId: string,
  sandbox: Sandbox | undefined,
): PodIdentity | undefined {
  const own = stringsAt(status, 'labels');
  return podIn({ [CONTAINER_NAME]: stringAt(status, 'metadata', 'name'), ...own }, sandboxId, sandbox);
}

/** Kubelet labels what it makes; pods that others make have their names in the sandbox's metadata only. */
function podIn(
  labels: Readonly<Record<string, string>>,
  sandboxId: string,
  sandbox: Sandbox | undefined,
): PodIdentity | undefined {
  if (sandbox === undefined) return podOf({ labels, sandboxId });
  const { podName, namespace, podUid, hostNetwork } = sandbox;
  return podOf({
    labels: {
      'io.kubernetes.pod.name': podName,
      'io.kubernetes.pod.namespace': namespace,
      'io.kubernetes.pod.uid': podUid,
      ...labels,
    },
    podLabels: sandbox.labels,
    podAnnotations: sandbox.annotations,
    ...(hostNetwork === undefined ? {} : { hostNetwork }),
    sandboxId,
  });
}

const BARE_ID = /^(?:sha256:)?([0-9a-f]{64})$/;

/** CRI-O leaves `sha256:` out of ids. Empty for what is no id. */
function imageIdIn(reference: string): string {
  const hex = BARE_ID.exec(reference)?.[1];
  return hex === undefined ? '' : `sha256:${hex}`;
}

/** `sha256:…` in `repository@sha256:…`. */
function digestIn(reference: string): string {
  const sign = reference.lastIndexOf('@');
  return sign < 0 ? '' : reference.slice(sign + 1);
}

/** The image by name, as the user wrote it where the engine was told; empty where it is known by its id only. */
function imageNameOf(status: unknown, info: unknown): string {
  const names = [
    stringAt(status, 'image', 'userSpecifiedImage'),
    stringAt(status, 'image', 'image'),
    stringAt(info, 'runtimeSpec', 'annotations', 'io.kubernetes.cri.image-name'),
    stringAt(info, 'runtimeSpec', 'annotations', 'io.kubernetes.cri-o.ImageName'),
  ];
  return names.find((name) => name !== '' && !BARE_ID.test(name)) ?? '';
}

function completed(told: Image, image: unknown): Image {
  const repoDigest = arrayAt(image, 'repoDigests').find((reference) => typeof reference === 'string') ?? '';
  const tag = arrayAt(image, 'repoTags').find((reference) => typeof reference === 'string') ?? '';
  return {
    id: told.id || imageIdIn(stringAt(image, 'id')),
    digest: told.digest || digestIn(repoDigest),
    tag,
  };
}

/** Nanoseconds since 1970 as RFC 3339; empty for none. */
function timeOf(ns: string): string {
  if (!/^[1-9]\d{0,18}$/.test(ns)) return '';
  const total = BigInt(ns);
  const fraction = String(total % 1_000_000_000n)
    .padStart(9, '0')
    .replace(/0+$/, '');
  const seconds = new Date(Number(total / 1_000_000n)).toISOString().slice(0, 19);
  return `${seconds}${fraction === '' ? '' : `.${fraction}`}Z`;
}

const EVENT_KINDS = {
  CONTAINER_CREATED_EVENT: 'created',
  CONTAINER_STARTED_EVENT: 'started',
  CONTAINER_STOPPED_EVENT: 'removed',
  CONTAINER_DELETED_EVENT: 'deleted',
} as const;

function eventOf(message: unknown): Exclude<EngineEvent, { kind: 'open' }> | undefined {
  const key = stringAt(message, 'containerId');
  const type = stringAt(message, 'containerEventType');
  if (key === '' || !Object.hasOwn(EVENT_KINDS, type)) return undefined;
  return { kind: EVENT_KINDS[type as keyof typeof EVENT_KINDS], key };
}

type LifeEvent = Exclude<EngineEvent, { kind: 'open' }>;

/** The events that lead from one listing to a later one. */
function differences(before: ReadonlyMap<string, Life>, now: ReadonlyMap<string, Life>): LifeEvent[] {
  const events: LifeEvent[] = [];
  for (const [key, life] of now) {
    const was = before.get(key);
    if (was === life) continue;
    if (life === 'running') events.push({ kind: 'started', key });
    else if (was === undefined) events.push({ kind: 'created', key });
    if (life === 'ended') events.push({ kind: 'removed', key });
  }
  for (const [key, was] of before) {
    if (now.has(key)) continue;
    if (was !== 'ended') events.push({ kind: 'removed', key });
    events.push({ kind: 'deleted', key });
  }
  return events;
}

/** False when aborted. */
function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  return sleep(ms, true, { signal }).catch(() => false);
}
