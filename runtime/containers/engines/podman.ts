// The podman engine, through its own ("libpod") HTTP API on a unix socket (docs.podman.io/en/latest/_static/api.html).

import { EventEmitter, once } from 'node:events';
import { dirname } from 'node:path';
import { isContainerId } from '../cgroup.js';
import { EngineAnswerError, unlessMissing } from '../errors.js';
import type { Engine, EngineContainer, EngineEvent } from './engine.js';
import { inspectRunning, parseEvent, type HttpEvent } from './http-engine.js';
import { arrayAt, countAt, stringAt } from './json.js';
import { type EngineSocket, engineSocket, unreachable } from './socket.js';
import { HttpClient, type LineStream, NOT_FOUND } from './unix-http.js';

/** Podman answers paths of any version; what is read here has been the same from 3.0 on. */
const API = '/v4.0.0/libpod';
const CONNECT_TIMEOUT_MS = 1000;
const LIST_TIMEOUT_MS = 5000;
const INSPECT_TIMEOUT_MS = 400;
/** All the time an inspection may take, with the wait for an event. */
const INSPECT_AND_WAIT_MS = 480;
/** Far more containers than are made while somebody asks about one. */
const MAX_HEARD = 1000;
/** A stream of events that ends sooner is not worth being opened again at once. */
const SHORTEST_STREAM_MS = 1000;

export interface PodmanOptions {
  /** `--podman-socketpath`; the usual places of root's podman when left out. */
  readonly socketPath?: string | undefined;
}

/**
 * Podman has no daemon: each command changes a common database, and writes its events to a file (or the journal) that
 * the service behind the socket reads four times a second. So the answers are new and the events are old: when the
 * creation of a container is heard, it may be gone, or have been started twice.
 */
export class PodmanEngine implements Engine {
  readonly name = 'podman';
  readonly #socket: EngineSocket;
  readonly #http: HttpClient;
  /** The newest containers whose creation was heard, in that order. */
  readonly #heard = new Set<string>();
  /** Emits the id of each of them when it is heard. */
  readonly #news = new EventEmitter().setMaxListeners(0);

  constructor(options: PodmanOptions = {}) {
    this.#socket = engineSocket('podman', options.socketPath);
    this.#http = new HttpClient(this.address);
  }

  get address(): string {
    return this.#socket.path;
  }

  async connect(): Promise<void> {
    try {
      // Any question will do; for its version podman would have to run other programs first.
      await this.#get('/containers/json?limit=1', CONNECT_TIMEOUT_MS);
    } catch (cause) {
      throw unreachable(this.#socket, cause);
    }
  }

  async list(): Promise<EngineContainer[]> {
    const answer = await this.#get('/containers/json?all=true', LIST_TIMEOUT_MS);
    // A podman without any container may say null.
    if (answer !== null && !Array.isArray(answer)) {
      throw new EngineAnswerError('podman listed its containers as something else');
    }
    return inspectRunning((answer ?? []).map(fromListing), (id) => this.#look(id));
  }

  /**
   * Of a container that is gone by now, the events are all that tells the name: they are waited for, so that who asks
   * has heard them.
   */
  async inspect(id: string): Promise<EngineContainer | undefined> {
    if (!isContainerId(id)) return undefined;
    const late = AbortSignal.timeout(INSPECT_AND_WAIT_MS);
    const found = await this.#look(id);
    if (found === undefined && !this.#heard.has(id)) {
      await once(this.#news, id, { signal: late }).catch(() => undefined);
    }
    return found;
  }

  async watch(onEvent: (event: EngineEvent) => void, signal: AbortSignal): Promise<void> {
    let sinceS = Math.floor(Date.now() / 1000);
    let isFirst = true;
    while (!signal.aborted) {
      const openedMs = Date.now();
      const stream = {
        onOpen: () => {
          if (isFirst) onEvent({ kind: 'open' });
          isFirst = false;
        },
        onLine: (line: string) => {
          const event = parseEvent(line);
          if (event.message !== '') throw new EngineAnswerError(`podman tells no events: ${event.message}`);
          sinceS = Math.max(sinceS, event.timeS);
          this.#tell(event, onEvent, signal);
        },
      };
      try {
        await this.#stream(sinceS, stream, signal);
      } catch (error) {
        // Podman 4.3 ends the stream when it cuts its events file in half. Nothing is missed: the next one begins
        // where this one ended, even if that takes a new service.
        if (isFirst || Date.now() - openedMs < SHORTEST_STREAM_MS) throw error;
        await this.connect();
      }
    }
  }

  close(): void {
    this.#http.close();
    this.#heard.clear();
  }

  #get(path: string, timeoutMs: number): Promise<unknown> {
    return this.#http.getJson(`${API}${path}`, timeoutMs);
  }

  #stream(sinceS: number, stream: LineStream, signal: AbortSignal): Promise<void> {
    const filters = encodeURIComponent(JSON.stringify({ type: ['container'] }));
    const path = `${API}/events?stream=true&since=${sinceS}&filters=${filters}`;
    return this.#http.streamLines(path, CONNECT_TIMEOUT_MS, stream, signal);
  }

  /** What podman knows of a container now. */
  async #look(id: string): Promise<EngineContainer | undefined> {
    const answer = await unlessMissing(
      this.#get(`/containers/${encodeURIComponent(id)}/json`, INSPECT_TIMEOUT_MS),
      NOT_FOUND,
    );
    if (answer === undefined) return undefined;
    const isRunning = runs(stringAt(answer, 'State', 'Status'));
    const ownId = stringAt(answer, 'Id');
    return {
      key: ownId,
      id: ownId,
      name: stringAt(answer, 'Name'),
      pid: isRunning ? countAt(answer, 'State', 'Pid') : 0,
      imageName: stringAt(answer, 'ImageName'),
      imageDigest: stringAt(answer, 'ImageDigest'),
      imageId: imageId(stringAt(answer, 'Image')),
      startedAt: isRunning ? stringAt(answer, 'State', 'StartedAt') : '',
      bundle: folderOf(stringAt(answer, 'OCIConfigPath')),
    };
  }

  #tell(
    { action, id, attributes }: HttpEvent,
    onEvent: (event: EngineEvent) => void,
    signal: AbortSignal,
  ): void {
    if (!isContainerId(id)) return;
    switch (action) {
      case 'create':
      case 'rename':
        onEvent({
          kind: 'created',
          key: id,
          name: stringAt(attributes, 'name'),
          imageName: stringAt(attributes, 'image'),
        });
        this.#remember(id);
        break;
      case 'start':
        onEvent({ kind: 'started', key: id });
        break;
      case 'died':
        void this.#tellEnd(id, onEvent, signal);
        break;
      case 'remove':
        onEvent({ kind: 'deleted', key: id });
        break;
    }
  }

  /** The end of a past life is no news of a container that was started again. */
  async #tellEnd(id: string, onEvent: (event: EngineEvent) => void, signal: AbortSignal): Promise<void> {
    try {
      const now = await this.#look(id);
      if (!signal.aborted && (now === undefined || now.pid === 0)) onEvent({ kind: 'removed', key: id });
    } catch {
      // Whether it runs is not known then; an end that nobody tells is found by its processes.
    }
  }

  #remember(id: string): void {
    this.#heard.add(id);
    if (this.#heard.size > MAX_HEARD) this.#heard.delete(this.#heard.values().next().value!);
    this.#news.emit(id);
  }
}

function fromListing(entry: unknown): { container: EngineContainer; isRunning: boolean } {
  const id = stringAt(entry, 'Id');
  const name = arrayAt(entry, 'Names')[0];
  const isRunning = runs(stringAt(entry, 'State'));
  const container = {
    key: id,
    id,
    name: typeof name === 'string' ? name : '',
    pid: isRunning ? countAt(entry, 'Pid') : 0,
    imageName: stringAt(entry, 'Image'),
    imageDigest: '',
    imageId: imageId(stringAt(entry, 'ImageID')),
    startedAt: '',
    bundle: '',
  };
  return { container, isRunning };
}

/** Whether a container of this state has begun its first program. */
function runs(state: string): boolean {
  return state === 'running' || state === 'paused' || state === 'stopping';
}

/** Podman leaves the algorithm out. */
function imageId(digits: string): string {
  return digits === '' || digits.includes(':') ? digits : `sha256:${digits}`;
}

function folderOf(path: string): string {
  return path === '' ? '' : dirname(path);
}
