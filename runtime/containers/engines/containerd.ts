// The containerd engine, through its own gRPC API (proto/containerd), and its pods through that of Kubernetes (CRI).

import { readdirSync, readlinkSync } from 'node:fs';
import { uptime } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { containerKey, isContainerId } from '../cgroup.js';
import { type PodIdentity, shortId } from '../container.js';
import { EngineAnswerError, unlessMissing } from '../errors.js';
import { isThere } from '../host-files.js';
import { podOf } from '../kubernetes.js';
import { startTicksOf } from '../proc.js';
import { parentOf } from '../sighting.js';
import type { Engine, EngineContainer, EngineEvent } from './engine.js';
import { GrpcClient, greet, NOT_FOUND, UNIMPLEMENTED, type CallOptions, type Protos } from './grpc.js';
import { arrayAt, at, countAt, parseJson, stringAt, stringsAt } from './json.js';
import { remember } from './remember.js';
import { type EngineSocket, engineSocket, unreachable } from './socket.js';

/** Docker's containers, which the docker engine names. */
const DOCKER_NAMESPACE = 'moby';

const CONNECT_TIMEOUT_MS = 1000;
const IDLE_TIMEOUT_MS = 200;
const LIST_TIMEOUT_MS = 10_000;
/** Events of a new container wait for this answer. */
const INSPECT_TIMEOUT_MS = 400;
/** Far more than a machine has; who is forgotten is asked for again. */
const MAX_REMEMBERED = 65_536;
const MAX_SPEC_BYTES = 1 << 20;
/** Of the time that is left, for what may hang while the rest can still be asked for. */
const HALF = 0.5;

/** Of tasks that have a process. */
const ALIVE: ReadonlySet<string> = new Set(['CREATED', 'RUNNING', 'PAUSING', 'PAUSED']);

const CONTAINERD: Protos = {
  folder: 'containerd',
  files: [
    'services/containers/v1/containers.proto',
    'services/events/v1/events.proto',
    'services/images/v1/images.proto',
    'services/namespaces/v1/namespace.proto',
    'services/tasks/v1/tasks.proto',
    'events/container.proto',
    'events/task.proto',
  ],
};
const CRI: Protos = { folder: 'cri', files: ['api.proto'] };

/** Names as containerd takes them for namespaces and ids (its package identifiers). */
const IDENTIFIER = /^[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*$/;
const MAX_IDENTIFIER_CHARS = 76;

export interface ContainerdOptions {
  /** `--containerd-socketpath`; the usual places when left out. */
  readonly socketPath?: string | undefined;
  /** `--containerd-namespace`: the only one to look into; all but docker's own when left out. */
  readonly namespace?: string | undefined;
}

/** Where containerd keeps a container: ids are unique in their namespace only. */
interface Place {
  readonly namespace: string;
  readonly id: string;
}

/** What matters of containerd's record of a container. */
interface ContainerRecord extends Place {
  readonly key: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Under which containerd has the image; kubelet may have asked for it under another. */
  readonly image: string;
  readonly imageName: string;
  readonly imageId: string;
  readonly isSandbox: boolean;
  /** Empty outside of Kubernetes. */
  readonly sandboxId: string;
  /** Of a sandbox: whether its network namespace is the host's. */
  readonly hostNetwork: boolean;
}

interface SandboxFacts {
  readonly podLabels: Readonly<Record<string, string>>;
  readonly podAnnotations?: Readonly<Record<string, string>>;
  readonly hostNetwork: boolean;
}

export class ContainerdEngine implements Engine {
  readonly name = 'containerd';
  readonly #socket: EngineSocket;
  readonly #namespace: string | undefined;
  readonly #containerd: GrpcClient;
  readonly #cri: GrpcClient;
  /** By namespace and id; of a container heard of a moment ago, the answer is awaited. */
  readonly #keys = new Map<string, string | Promise<string>>();
  readonly #places = new Map<string, Place>();
  readonly #digests = new Map<string, Promise<string>>();
  readonly #sandboxes = new Map<string, SandboxFacts>();
  #namespaces: readonly string[] = [];
  #criIsServed = true;

  constructor(options: ContainerdOptions = {}) {
    this.#socket = engineSocket('containerd', options.socketPath);
    this.#namespace = options.namespace;
    this.#containerd = new GrpcClient(this.address, CONTAINERD);
    this.#cri = new GrpcClient(this.address, CRI);
  }

  get address(): string {
    return this.#socket.path;
  }

  async connect(): Promise<void> {
    try {
      if (this.#namespace !== undefined && !isIdentifier(this.#namespace)) {
        throw new Error(`${JSON.stringify(this.#namespace)} is no name of a namespace`);
      }
      // Whether it is containerd shows when it is first asked for something: to ask takes long to prepare.
      await greet(this.address, CONNECT_TIMEOUT_MS);
    } catch (cause) {
      throw unreachable(this.#socket, cause);
    }
  }

  /** A running container has a folder in containerd's own, which is where its socket is unless told otherwise. */
  async isIdle(): Promise<boolean> {
    const tasks = join(dirname(this.address), 'io.containerd.runtime.v2.task');
    try {
      const namespaces = readdirSync(tasks).filter((name) => this.#asksFor(name));
      if (namespaces.some((name) => readdirSync(join(tasks, name)).length > 0)) return false;
      await greet(this.address, IDLE_TIMEOUT_MS);
      return true;
    } catch {
      return false;
    }
  }

  async list(): Promise<EngineContainer[]> {
    const timeLeft = stopwatch(LIST_TIMEOUT_MS);
    this.#namespaces = await this.#listNamespaces(timeLeft);
    const listed = this.#namespaces.map((namespace) => this.#listNamespace(namespace, timeLeft));
    return (await Promise.all(listed)).flat();
  }

  async inspect(key: string): Promise<EngineContainer | undefined> {
    const timeLeft = stopwatch(INSPECT_TIMEOUT_MS);
    const found = await Promise.all(
      this.#placesOf(key).map(async (place) => {
        const [record, process] = await Promise.all([
          this.#record(place, timeLeft),
          this.#process(place, timeLeft),
        ]);
        return record?.key === key ? this.#describe(record, process, timeLeft) : undefined;
      }),
    );
    return found.find((container) => container !== undefined);
  }

  async watch(onEvent: (event: EngineEvent) => void, signal: AbortSignal): Promise<void> {
    const decode = await this.#containerd.decoder();
    const failed = new AbortController();
    const ended = AbortSignal.any([signal, failed.signal]);
    let isOpen = false;
    const watching = this.#containerd.stream(
      'containerd.services.events.v1.Events/Subscribe',
      { filters: [this.#filter()] },
      {
        signal: ended,
        onMessage: (envelope) => {
          const event = this.#understand(envelope, decode);
          if (event === undefined) return;
          void this.#withKey(event.place, (key) => {
            if (!ended.aborted) onEvent({ kind: event.kind, key });
            if (event.kind === 'deleted') this.#forget(event.place);
          });
        },
      },
    );
    this.#subscribed().then(
      () => {
        isOpen = true;
        if (!ended.aborted) onEvent({ kind: 'open' });
      },
      (error: unknown) => failed.abort(error),
    );
    const error: unknown = await watching.then(
      () => new EngineAnswerError('the stream of events ended'),
      (caught: unknown) => caught,
    );
    // Nothing that was still to be asked is told after the end.
    failed.abort(error);
    if (signal.aborted) return;
    throw isOpen ? failed.signal.reason : unreachable(this.#socket, failed.signal.reason);
  }

  close(): void {
    this.#containerd.close();
    this.#cri.close();
    // Another containerd may come.
    this.#digests.clear();
    this.#sandboxes.clear();
    this.#criIsServed = true;
  }

  /**
   * Resolves when what was asked for before is being done. Containerd does not say when it has subscribed somebody,
   * but takes the requests of one connection up in their order, and subscribes at once. The first answer shows that
   * the request to subscribe has been sent; the second, sent after it, that containerd has had time to take it up.
   */
  async #subscribed(): Promise<void> {
    const method = 'containerd.services.namespaces.v1.Namespaces/List';
    for (let i = 0; i < 2; i++) await this.#containerd.call(method, {}, { timeoutMs: CONNECT_TIMEOUT_MS });
  }

  #filter(): string {
    const topics = 'topic~="^/(containers|images)/|^/tasks/(create|start|exit)$"';
    const namespaces =
      this.#namespace === undefined ? `namespace!="${DOCKER_NAMESPACE}"` : `namespace=="${this.#namespace}"`;
    return `${topics},${namespaces}`;
  }

  #understand(envelope: unknown, decode: Decode): ContainerdEvent | undefined {
    const namespace = stringAt(envelope, 'namespace');
    const topic = stringAt(envelope, 'topic');
    // A name may stand for another image from now on.
    if (topic.startsWith('/images/')) this.#digests.clear();
    const value = at(envelope, 'event', 'value');
    if (!Object.hasOwn(TOPICS, topic) || !(value instanceof Uint8Array)) return undefined;
    const { type, kind } = TOPICS[topic]!;
    const event = decode(type, value);
    const id = stringAt(event, topic.startsWith('/tasks/') ? 'containerId' : 'id');
    // Processes that were executed in a container end, too; they have names of their own.
    if (kind === 'removed' && stringAt(event, 'id') !== id) return undefined;
    return isIdentifier(namespace) && isIdentifier(id) ? { kind, place: { namespace, id } } : undefined;
  }

  async #listNamespaces(timeLeft: TimeLeft): Promise<string[]> {
    if (this.#namespace !== undefined) return [this.#namespace];
    const method = 'containerd.services.namespaces.v1.Namespaces/List';
    const answer = await this.#containerd.call(method, {}, { timeoutMs: timeLeft() });
    return arrayAt(answer, 'namespaces')
      .map((namespace) => stringAt(namespace, 'name'))
      .filter((name) => isIdentifier(name) && name !== DOCKER_NAMESPACE);
  }

  async #listNamespace(namespace: string, timeLeft: TimeLeft): Promise<EngineContainer[]> {
    const [records, processes] = await Promise.all([
      this.#listRecords(namespace, timeLeft),
      this.#listProcesses(namespace, timeLeft),
    ]);
    return Promise.all(records.map((record) => this.#describe(record, processes.get(record.id), timeLeft)));
  }

  async #listRecords(namespace: string, timeLeft: TimeLeft): Promise<ContainerRecord[]> {
    const records: ContainerRecord[] = [];
    // One by one, as the specifications of all of them may be more than an answer can hold.
    const method = 'containerd.services.containers.v1.Containers/ListStream';
    await this.#containerd.stream(
      method,
      {},
      {
        ...inNamespace(namespace, timeLeft()),
        onMessage: (message) => {
          if (records.length >= MAX_REMEMBERED) {
            throw new EngineAnswerError(`more than ${MAX_REMEMBERED} containers in namespace ${namespace}`);
          }
          const record = recordOf(namespace, at(message, 'container'));
          if (record === undefined) return;
          this.#remember(record);
          records.push(record);
        },
      },
    );
    return records;
  }

  /** The tasks' first processes, by id of the container; none when a task that hangs has containerd hang. */
  async #listProcesses(namespace: string, timeLeft: TimeLeft): Promise<Map<string, unknown>> {
    const method = 'containerd.services.tasks.v1.Tasks/List';
    const call = this.#containerd.call(method, {}, inNamespace(namespace, timeLeft(HALF)));
    const answer = await call.catch(() => undefined);
    return new Map(arrayAt(answer, 'tasks').map((process) => [stringAt(process, 'id'), process]));
  }

  /** Undefined when there is no such container. */
  async #record({ namespace, id }: Place, timeLeft: TimeLeft): Promise<ContainerRecord | undefined> {
    const method = 'containerd.services.containers.v1.Containers/Get';
    const call = this.#containerd.call(method, { id }, inNamespace(namespace, timeLeft()));
    const record = recordOf(namespace, at(await unlessMissing(call, NOT_FOUND), 'container'));
    if (record !== undefined) this.#remember(record);
    return record;
  }

  /** Undefined when it has none, or its task hangs. */
  async #process({ namespace, id }: Place, timeLeft: TimeLeft): Promise<unknown> {
    const method = 'containerd.services.tasks.v1.Tasks/Get';
    const call = this.#containerd.call(method, { containerId: id }, inNamespace(namespace, timeLeft(HALF)));
    return at(await call.catch(() => undefined), 'process');
  }

  async #describe(record: ContainerRecord, process: unknown, timeLeft: TimeLeft): Promise<EngineContainer> {
    const [imageDigest, pod] = await Promise.all([
      this.#digestOf(record, timeLeft),
      this.#podOf(record, timeLeft),
    ]);
    const { key, namespace, id, labels, imageName, imageId } = record;
    const status = stringAt(process, 'status');
    const pid = ALIVE.has(status) ? countAt(process, 'pid') : 0;
    return {
      key,
      id,
      name: labels['nerdctl/name'] || (pod?.containerName ?? '') || shortId(id),
      pid,
      imageName,
      imageDigest,
      imageId,
      startedAt: pid === 0 || status === 'CREATED' ? '' : startOf(pid),
      bundle: pid === 0 ? '' : bundleOf(namespace, id, pid),
      ...(pod !== undefined && { pod }),
    };
  }

  /** The digest that the image's name stands for; asked once per image. */
  #digestOf({ namespace, image }: ContainerRecord, timeLeft: TimeLeft): Promise<string> {
    if (image === '') return Promise.resolve('');
    const name = `${namespace} ${image}`;
    let digest = this.#digests.get(name);
    if (digest === undefined) {
      const method = 'containerd.services.images.v1.Images/Get';
      const call = this.#containerd.call(method, { name: image }, inNamespace(namespace, timeLeft()));
      digest = unlessMissing(call, NOT_FOUND).then(
        (answer) => stringAt(answer, 'image', 'target', 'digest'),
        // The next container asks again.
        () => (this.#digests.delete(name), ''),
      );
      remember(this.#digests, name, digest, MAX_REMEMBERED);
    }
    return digest;
  }

  async #podOf(record: ContainerRecord, timeLeft: TimeLeft): Promise<PodIdentity | undefined> {
    if (podOf(record) === undefined) return undefined;
    const { labels, sandboxId, isSandbox } = record;
    // A sandbox's labels are those of its pod, which may have any.
    const own = isSandbox ? { ...labels, 'io.kubernetes.container.name': '' } : labels;
    const facts = await this.#sandbox(record, timeLeft).catch(() => undefined);
    return podOf({ labels: own, sandboxId, ...facts });
  }

  /** What is said of the pod that a container is in; asked once per pod, if it was Kubernetes' side that answered. */
  async #sandbox(record: ContainerRecord, timeLeft: TimeLeft): Promise<SandboxFacts | undefined> {
    const { sandboxId } = record;
    const known = this.#sandboxes.get(sandboxId);
    if (known !== undefined || sandboxId === '') return known;
    const facts = await this.#askCri(sandboxId, timeLeft);
    if (facts !== undefined) {
      remember(this.#sandboxes, sandboxId, facts, MAX_REMEMBERED);
      return facts;
    }
    const place = { namespace: record.namespace, id: sandboxId };
    const sandbox = record.isSandbox ? record : await this.#record(place, timeLeft);
    return sandbox && { podLabels: sandbox.labels, hostNetwork: sandbox.hostNetwork };
  }

  /** Undefined when CRI does not know the sandbox, as while it is being made, or cannot answer. */
  async #askCri(podSandboxId: string, timeLeft: TimeLeft): Promise<SandboxFacts | undefined> {
    if (!this.#criIsServed) return undefined;
    try {
      // Leaves time for asking containerd itself.
      const timeoutMs = timeLeft(HALF);
      const method = 'runtime.v1.RuntimeService/PodSandboxStatus';
      const answer = await this.#cri.call(method, { podSandboxId }, { timeoutMs });
      return {
        podLabels: stringsAt(answer, 'status', 'labels'),
        podAnnotations: stringsAt(answer, 'status', 'annotations'),
        hostNetwork: stringAt(answer, 'status', 'linux', 'namespaces', 'options', 'network') === 'NODE',
      };
    } catch (error) {
      if (error instanceof EngineAnswerError && error.status === UNIMPLEMENTED) this.#criIsServed = false;
      return undefined;
    }
  }

  /** Where a container with this key could be. */
  #placesOf(key: string): Place[] {
    const known = this.#places.get(key);
    if (known !== undefined) return [known];
    if (isContainerId(key)) return this.#namespaces.map((namespace) => ({ namespace, id: key }));
    // As containerd names cgroups unless told otherwise.
    const [namespace = '', id = ''] = key.split('/');
    return this.#asksFor(namespace) && isIdentifier(namespace) && isIdentifier(id) ? [{ namespace, id }] : [];
  }

  #asksFor(namespace: string): boolean {
    return this.#namespace === undefined ? namespace !== DOCKER_NAMESPACE : namespace === this.#namespace;
  }

  /** Calls back with a container's key: at once when it is known, else when it was asked for, in order. */
  #withKey(place: Place, use: (key: string) => void): void | Promise<void> {
    const name = `${place.namespace}/${place.id}`;
    let key = isContainerId(place.id) ? place.id : this.#keys.get(name);
    if (key === undefined) {
      // It is gone already, or the next event asks again.
      const unknown = (): string => (this.#keys.delete(name), name);
      key = this.#record(place, stopwatch(INSPECT_TIMEOUT_MS)).then(
        (record) => record?.key ?? unknown(),
        unknown,
      );
      remember(this.#keys, name, key, MAX_REMEMBERED);
    }
    if (typeof key !== 'string') return key.then(use);
    remember(this.#places, key, place, MAX_REMEMBERED);
    use(key);
  }

  #remember({ key, namespace, id }: ContainerRecord): void {
    remember(this.#places, key, { namespace, id }, MAX_REMEMBERED);
    if (key !== id) remember(this.#keys, `${namespace}/${id}`, key, MAX_REMEMBERED);
  }

  #forget({ namespace, id }: Place): void {
    const name = `${namespace}/${id}`;
    const key = this.#keys.get(name) ?? id;
    this.#keys.delete(name);
    this.#sandboxes.delete(id);
    if (typeof key === 'string') this.#places.delete(key);
  }
}

type Decode = (type: string, bytes: Uint8Array) => unknown;

interface ContainerdEvent {
  readonly kind: Exclude<EngineEvent['kind'], 'open'>;
  readonly place: Place;
}

/** Containerd's events that matter here, and what they say. */
const TOPICS: Readonly<Record<string, { type: string; kind: ContainerdEvent['kind'] }>> = {
  '/containers/create': { type: 'containerd.events.ContainerCreate', kind: 'created' },
  '/containers/update': { type: 'containerd.events.ContainerUpdate', kind: 'created' },
  '/containers/delete': { type: 'containerd.events.ContainerDelete', kind: 'deleted' },
  // The process is there and waits, in its namespaces, for the start: in time for its first exec.
  '/tasks/create': { type: 'containerd.events.TaskCreate', kind: 'started' },
  '/tasks/start': { type: 'containerd.events.TaskStart', kind: 'started' },
  '/tasks/exit': { type: 'containerd.events.TaskExit', kind: 'removed' },
};

/** Undefined for what is no container. */
function recordOf(namespace: string, container: unknown): ContainerRecord | undefined {
  const id = stringAt(container, 'id');
  if (!isIdentifier(id)) return undefined;
  const labels = stringsAt(container, 'labels');
  const isPods = labels['io.kubernetes.pod.name'] !== undefined;
  const spec = isPods || !isContainerId(id) ? jsonIn(at(container, 'spec')) : undefined;
  const annotations = stringsAt(spec, 'annotations');
  const metadata = isPods ? at(container, 'extensions', 'io.cri-containerd.container.metadata') : undefined;
  const image = stringAt(container, 'image');
  return {
    namespace,
    id,
    key: isContainerId(id) ? id : keyOf(namespace, id, stringAt(spec, 'linux', 'cgroupsPath')),
    labels,
    image,
    imageName: annotations['io.kubernetes.cri.image-name'] || image,
    imageId: stringAt(jsonIn(metadata), 'Metadata', 'ImageRef'),
    isSandbox: labels['io.cri-containerd.kind'] === 'sandbox',
    sandboxId: annotations['io.kubernetes.cri.sandbox-id'] || stringAt(container, 'sandbox'),
    hostNetwork:
      spec !== undefined &&
      !arrayAt(spec, 'linux', 'namespaces').some((one) => stringAt(one, 'type') === 'network'),
  };
}

function keyOf(namespace: string, id: string, cgroupsPath: string): string {
  return containerKey(cgroupsPath === '' ? `/${namespace}/${id}` : cgroupsPath) ?? `${namespace}/${id}`;
}

/** The JSON that an Any holds; undefined when it holds none, or too much. */
function jsonIn(any: unknown): unknown {
  const bytes = at(any, 'value');
  if (!(bytes instanceof Uint8Array) || bytes.length > MAX_SPEC_BYTES) return undefined;
  return parseJson(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8'));
}

/** When the machine was started, `Date.now()`; taken once, so that a container's start stays the same. */
const BOOT_MS = Date.now() - uptime() * 1000;
/** USER_HZ is 100 on every architecture that Node runs on. */
const MS_PER_TICK = 10;

/** When a container's first process began, which containerd does not tell; RFC 3339, empty when it is gone. */
function startOf(pid: number): string {
  const ticks = startTicksOf(pid);
  return ticks === undefined ? '' : new Date(BOOT_MS + ticks * MS_PER_TICK).toISOString();
}

/** The bundle's folder: beside the one, if not the one, that the shim was started in; empty when it is not there. */
function bundleOf(namespace: string, id: string, pid: number): string {
  try {
    const shim = parentOf(pid);
    const folder = shim === undefined ? '' : dirname(readlinkSync(`/proc/${shim}/cwd`));
    const bundle = join(folder, id);
    return basename(folder) === namespace && isThere(join(bundle, 'config.json')) ? bundle : '';
  } catch {
    return '';
  }
}

type TimeLeft = (part?: number) => number;

/** What is left of a time that several calls share. */
function stopwatch(limitMs: number): TimeLeft {
  const endMs = performance.now() + limitMs;
  return (part = 1) => Math.max(1, Math.ceil((endMs - performance.now()) * part));
}

function inNamespace(namespace: string, timeoutMs: number): CallOptions {
  return { timeoutMs, metadata: { 'containerd-namespace': namespace } };
}

function isIdentifier(text: string): boolean {
  return text.length <= MAX_IDENTIFIER_CHARS && IDENTIFIER.test(text);
}
