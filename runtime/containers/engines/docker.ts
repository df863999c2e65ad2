// The docker engine, through its HTTP API on a unix socket (docs.docker.com/reference/api/engine).

import type { Engine, EngineContainer, EngineEvent } from './engine.js';
import { isContainerId } from '../cgroup.js';
import { EngineAnswerError, unlessMissing } from '../errors.js';
import { podOf } from '../kubernetes.js';
import { inspectRunning, parseEvent } from './http-engine.js';
import { arrayAt, at, countAt, stringAt, stringsAt } from './json.js';
import { remember } from './remember.js';
import { type EngineSocket, engineSocket, unreachable } from './socket.js';
import { HttpClient, NOT_FOUND } from './unix-http.js';

/** The API this client is written for: docker 20.10. */
const WANTED_API = '1.41';
const CONNECT_TIMEOUT_MS = 1000;
const LIST_TIMEOUT_MS = 5000;
/** Events of a new container wait for this answer. */
const INSPECT_TIMEOUT_MS = 400;
/** Image digests kept; far more than a machine has images in use. */
const MAX_DIGESTS = 4096;

export interface DockerOptions {
  /** `--docker-socketpath`; the usual places when left out. */
  readonly socketPath?: string | undefined;
}

export class DockerEngine implements Engine {
  readonly name = 'docker';
  readonly #socket: EngineSocket;
  readonly #http: HttpClient;
  readonly #digests = new Map<string, string>();
  #version = '';

  constructor(options: DockerOptions = {}) {
    this.#socket = engineSocket('docker', options.socketPath);
    this.#http = new HttpClient(this.address);
  }

  get address(): string {
    return this.#socket.path;
  }

  async connect(): Promise<void> {
    try {
      const version = await this.#http.getJson('/version', CONNECT_TIMEOUT_MS);
      this.#refusePodman(version);
      this.#version = negotiate(stringAt(version, 'MinAPIVersion'), stringAt(version, 'ApiVersion'));
    } catch (cause) {
      throw unreachable(this.#socket, cause);
    }
  }

  async list(): Promise<EngineContainer[]> {
    const answer = await this.#get('/containers/json?all=1', LIST_TIMEOUT_MS);
    if (!Array.isArray(answer)) throw new EngineAnswerError('docker listed its containers as something else');
    const listing = answer.map((entry) => ({ container: fromListing(entry), isRunning: isRunning(entry) }));
    // Only an inspection tells the pid.
    return inspectRunning(listing, (id) => this.inspect(id));
  }

  async inspect(id: string): Promise<EngineContainer | undefined> {
    if (!isContainerId(id)) return undefined;
    const path = `/containers/${encodeURIComponent(id)}/json`;
    const endMs = performance.now() + INSPECT_TIMEOUT_MS;
    const answer = await unlessMissing(this.#get(path, INSPECT_TIMEOUT_MS), NOT_FOUND);
    if (answer === undefined) return undefined;
    const imageId = stringAt(answer, 'Image');
    const running = at(answer, 'State', 'Running') === true;
    // cri-dockerd labels what it makes for kubelet.
    const labels = stringsAt(answer, 'Config', 'Labels');
    const pod = podOf({ labels, sandboxId: labels['io.kubernetes.sandbox.id'] ?? '' });
    const ownId = stringAt(answer, 'Id');
    return {
      key: ownId,
      id: ownId,
      name: withoutSlash(stringAt(answer, 'Name')),
      pid: running ? countAt(answer, 'State', 'Pid') : 0,
      imageName: stringAt(answer, 'Config', 'Image'),
      imageDigest: await this.#digestOf(imageId, endMs),
      imageId,
      startedAt: running ? stringAt(answer, 'State', 'StartedAt') : '',
      bundle: '',
      ...(pod !== undefined && { pod }),
    };
  }

  close(): void {
    this.#http.close();
  }

  async watch(onEvent: (event: EngineEvent) => void, signal: AbortSignal): Promise<void> {
    const filters = JSON.stringify({ type: ['container'], event: Object.keys(EVENTS) });
    // Docker says 200 before it subscribes; `since` has it replay what happened in between.
    const sinceS = Math.floor(Date.now() / 1000);
    const path = this.#versioned(`/events?since=${sinceS}&filters=${encodeURIComponent(filters)}`);
    const stream = {
      onOpen: () => onEvent({ kind: 'open' }),
      onLine: (line: string) => {
        const { action, id, attributes } = parseEvent(line);
        if (id !== '' && Object.hasOwn(EVENTS, action)) onEvent(EVENTS[action]!(id, attributes));
      },
    };
    await this.#http.streamLines(path, CONNECT_TIMEOUT_MS, stream, signal);
  }

  /** The package podman-docker puts podman in docker's place, which is asked itself. */
  #refusePodman(version: unknown): void {
    const isPodman = arrayAt(version, 'Components').some((one) => stringAt(one, 'Name') === 'Podman Engine');
    if (!isPodman || !this.#socket.isDefault) return;
    throw Object.assign(new Error('that is podman'), { code: 'ENOENT' });
  }

  #get(path: string, timeoutMs: number): Promise<unknown> {
    return this.#http.getJson(this.#versioned(path), timeoutMs);
  }

  #versioned(path: string): string {
    return this.#version === '' ? path : `/v${this.#version}${path}`;
  }

  /** The digest under which an image was pulled or pushed; asked once per image. */
  async #digestOf(imageId: string, endMs: number): Promise<string> {
    const known = this.#digests.get(imageId);
    if (known !== undefined || imageId === '') return known ?? '';
    let digest = '';
    try {
      const timeLeftMs = Math.max(1, Math.ceil(endMs - performance.now()));
      const image = await this.#get(`/images/${encodeURIComponent(imageId)}/json`, timeLeftMs);
      const reference = arrayAt(image, 'RepoDigests')[0];
      if (typeof reference === 'string') digest = reference.slice(reference.lastIndexOf('@') + 1);
    } catch (error) {
      // A removed image has no digest any more; for all else, the next container asks again.
      if (!(error instanceof EngineAnswerError && error.status === NOT_FOUND)) return '';
    }
    remember(this.#digests, imageId, digest, MAX_DIGESTS);
    return digest;
  }
}

/** The newest API version both sides know; what to ask for when the server names none is its default. */
function negotiate(oldest: string, newest: string): string {
  if (!isVersion(newest)) return '';
  if (isVersion(oldest) && compareVersions(WANTED_API, oldest) < 0) return oldest;
  return compareVersions(WANTED_API, newest) > 0 ? newest : WANTED_API;
}

function isVersion(text: string): boolean {
  return /^\d+\.\d+$/.test(text);
}

function compareVersions(a: string, b: string): number {
  const [majorA = 0, minorA = 0] = a.split('.').map(Number);
  const [majorB = 0, minorB = 0] = b.split('.').map(Number);
  return majorA - majorB || minorA - minorB;
}

function fromListing(entry: unknown): EngineContainer {
  const names = arrayAt(entry, 'Names').filter((name) => typeof name === 'string');
  // Links of other containers add names of two parts: `/web/db`.
  const own = names.find((name) => name.lastIndexOf('/') <= 0) ?? names[0] ?? '';
  const id = stringAt(entry, 'Id');
  return {
    key: id,
    id,
    name: withoutSlash(own),
    pid: 0,
    imageName: stringAt(entry, 'Image'),
    imageDigest: '',
    imageId: stringAt(entry, 'ImageID'),
    startedAt: '',
    bundle: '',
  };
}

function isRunning(entry: unknown): boolean {
  const state = stringAt(entry, 'State');
  return state === 'running' || state === 'paused' || state === 'restarting';
}

function withoutSlash(name: string): string {
  return name.startsWith('/') ? name.slice(1) : name;
}

type ContainerEvent = (key: string, attributes: unknown) => EngineEvent;

const named: ContainerEvent = (key, attributes) => ({
  kind: 'created',
  key,
  name: withoutSlash(stringAt(attributes, 'name')),
  imageName: stringAt(attributes, 'image'),
});

/** Docker's events that matter here, and what they say. */
const EVENTS: Readonly<Record<string, ContainerEvent>> = {
  create: named,
  rename: named,
  start: (key) => ({ kind: 'started', key }),
  die: (key) => ({ kind: 'removed', key }),
  destroy: (key) => ({ kind: 'deleted', key }),
};
