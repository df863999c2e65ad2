import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  Server,
  ServerCredentials,
  status,
  type handleUnaryCall,
  type ServiceDefinition,
  type UntypedHandleCall,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../../../test/until.js';
import { isSandbox } from '../container.js';
import { EngineUnavailableError } from '../errors.js';
import { CriEngine } from './cri.js';
import type { EngineEvent } from './engine.js';

type Json = Record<string, unknown>;
type Message = Record<string, unknown>;

/** Answers of a runtime.v1 server, by what they are about. */
interface Answers {
  version: { runtimeName: string; runtimeVersion: string };
  sandboxes: Json[];
  containers: Json[];
  /** By id. */
  sandboxStatus: Record<string, Message>;
  containerStatus: Record<string, Message>;
  images: Json[];
}

const DEFINITIONS = loadSync('api.proto', {
  includeDirs: [fileURLToPath(new URL('proto/cri', import.meta.url))],
  longs: String,
  enums: String,
  defaults: true,
});

/** A real server that gives recorded answers. */
class RecordedCri {
  readonly path: string;
  readonly answers: Answers;
  readonly asked: string[] = [];
  /** Streams of events; those of a CRI-O without `enable_pod_events` end at once. */
  readonly streams: { write: (message: Message) => void; end: () => void }[] = [];
  events: 'streamed' | 'disabled' | 'unimplemented' = 'disabled';
  readonly #server = new Server();

  constructor(path: string, answers: Partial<Answers>) {
    this.path = path;
    const nothing = { sandboxes: [], containers: [], sandboxStatus: {}, containerStatus: {}, images: [] };
    this.answers = {
      version: { runtimeName: 'cri-o', runtimeVersion: '1.30.0' },
      ...nothing,
      ...answers,
    };
    this.#server.addService(service('RuntimeService'), {
      Version: this.#unary('Version', () => ({
        version: '0.1.0',
        runtimeApiVersion: 'v1',
        ...this.answers.version,
      })),
      ListPodSandbox: this.#unary('ListPodSandbox', () => ({ items: this.answers.sandboxes })),
      ListContainers: this.#unary('ListContainers', () => ({ containers: this.answers.containers })),
      PodSandboxStatus: this.#unary('PodSandboxStatus', ({ podSandboxId }) =>
        this.#recorded(this.answers.sandboxes, this.answers.sandboxStatus, String(podSandboxId)),
      ),
      ContainerStatus: this.#unary('ContainerStatus', ({ containerId }) =>
        this.#recorded(this.answers.containers, this.answers.containerStatus, String(containerId)),
      ),
      GetContainerEvents: (call: { write: (message: Message) => void; end: () => void; emit: Emit }) => {
        this.asked.push('GetContainerEvents');
        if (this.events === 'streamed') this.streams.push(call);
        else if (this.events === 'disabled') call.end();
        else call.emit('error', { code: status.UNIMPLEMENTED, details: 'unknown method' });
      },
    });
    this.#server.addService(service('ImageService'), {
      ImageStatus: this.#unary('ImageStatus', ({ image }) => ({
        image:
          this.answers.images.find((one) => names(one).includes(String((image as Json)['image']))) ?? null,
      })),
    });
  }

  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(`unix:${this.path}`, ServerCredentials.createInsecure(), (error) =>
        error === null ? resolve() : reject(error),
      );
    });
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  #recorded(listed: Json[], recorded: Record<string, Message>, id: string): Message {
    if (Object.hasOwn(recorded, id)) return recorded[id]!;
    const known = listed.some((entry) => entry['id'] === id);
    throw known ? new Failure(status.INTERNAL, 'not recorded') : new Failure(status.NOT_FOUND, 'not found');
  }

  #unary(method: string, answer: (request: Message) => Message): UntypedHandleCall {
    const handle: handleUnaryCall<Message, Message> = ({ request }, callback) => {
      this.asked.push(method);
      try {
        callback(null, answer(request));
      } catch (error) {
        callback(error as Failure);
      }
    };
    return handle as UntypedHandleCall;
  }
}

class Failure extends Error {
  readonly code: number;

  constructor(code: number, details: string) {
    super(details);
    this.code = code;
  }
}

type Emit = (event: string, error: unknown) => void;

function service(name: string): ServiceDefinition {
  return DEFINITIONS[`runtime.v1.${name}`] as ServiceDefinition;
}

function names(image: Json): unknown[] {
  return [image['id'], ...(image['repoDigests'] as unknown[]), ...(image['repoTags'] as unknown[])];
}

/** What crictl printed, by command. */
function recording(name: string): Record<string, Json> {
  return JSON.parse(readFileSync(new URL(`fixtures/${name}.json`, import.meta.url), 'utf8')) as Record<
    string,
    Json
  >;
}

/** The message that crictl printed as `printed`: times as nanoseconds, `info` as JSON text. */
function statusOf(printed: Json): Message {
  const message = { ...(printed['status'] as Json) };
  for (const time of ['createdAt', 'startedAt', 'finishedAt']) {
    if (typeof message[time] === 'string') message[time] = nanoseconds(message[time]);
  }
  const info = printed['info'] as Json | undefined;
  return { status: message, info: info === undefined ? {} : { info: JSON.stringify(info) } };
}

/** As Go's UnixNano: the year 1 wraps around. */
function nanoseconds(time: string): string {
  const fraction = (/\.(\d+)/.exec(time)?.[1] ?? '').padEnd(9, '0');
  const seconds = Date.parse(time.replace(/\.\d+/, '')) / 1000;
  return String(BigInt.asIntN(64, BigInt(seconds) * 1_000_000_000n + BigInt(fraction)));
}

const POD = '134b58ab2e0cfd7432a9db818b1b4ec52fdc747333f0ba2c9342860dc2ea7c50';
const ENDED_POD = 'c8bd7c0f3406c10e0c426118abba864f92f05dbe24c829d32bf09ccae15386df';
const SEGFAULTER = '0e04af54d9273f5bb37eddbe8ace750275d7939612dd4864c792168cce2cff82';
const REDIS = '19b7277b9d905f981af64396c9c6bed34d39504ac63e53a75417cb5746887c21';
const REDIS_POD = '7d3258789e0084aff8a2081814991369df16b4ab6507f771e2737e5ba9bcf003';
const SBDB = '24ca73d0b8b02093e6ec2217546a97f919f33718ec38cfa81e589eeb4f8e7040';
const FEDORA = '8faef03b64eb64292fe47fe9e3edaf678e1558cba224e1235c75cb66d849010e';
const NOBODY = 'f'.repeat(64);

function segfaulter(): Partial<Answers> {
  const { pods, inspectp, ps, images } = recording('crio-segfaulter');
  return {
    sandboxes: pods!['items'] as Json[],
    containers: ps!['containers'] as Json[],
    sandboxStatus: { [POD]: statusOf(inspectp!) },
    images: images!['images'] as Json[],
  };
}

describe('an engine asked by the Kubernetes protocol', () => {
  let directory: string;
  let server: RecordedCri | undefined;
  let engine: CriEngine;
  let watching: Promise<void> | undefined;
  const events: EngineEvent[] = [];
  const stop = { controller: new AbortController() };

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'ig-cri-'));
    events.length = 0;
    stop.controller = new AbortController();
  });

  afterEach(async () => {
    stop.controller.abort();
    await watching?.catch(() => undefined);
    watching = undefined;
    engine.close();
    server?.stop();
    server = undefined;
    rmSync(directory, { recursive: true });
  });

  const socket = (): string => join(directory, 'crio.sock');

  async function serve(answers: Partial<Answers>): Promise<RecordedCri> {
    server = new RecordedCri(socket(), answers);
    await server.start();
    engine = new CriEngine({ name: 'cri-o', socketPath: `unix://${socket()}` });
    return server;
  }

  async function watch(): Promise<void> {
    await engine.connect();
    watching = engine.watch((event) => events.push(event), stop.controller.signal);
    await until(() => events.some(({ kind }) => kind === 'open'), 'the stream of events to open');
  }

  const kinds = (): string[] => events.map((event) => event.kind);

  it("lists CRI-O's pods with the process that holds their namespaces, and what is in them", async () => {
    await serve(segfaulter());
    const listed = await engine.list();
    expect(listed.map(({ key }) => key).sort()).toEqual([SEGFAULTER, POD, ENDED_POD].sort());

    const pod = listed.find(({ key }) => key === POD)!;
    expect(pod).toEqual({
      key: POD,
      id: POD,
      name: 'segfaulter',
      pid: 38091,
      imageName: 'registry.eu-gb.bluemix.net/armada-master/pause:3.5',
      imageDigest: '',
      imageId: '',
      startedAt: '2022-01-07T17:33:26.50092793Z',
      bundle: '',
      pod: {
        namespace: 'default',
        podName: 'segfaulter',
        podUid: 'aaaa2b4a-f398-41c0-928b-049e1cc4ec40',
        containerName: '',
        labels: { run: 'segfaulter' },
        hostNetwork: false,
        ownerKind: '',
        ownerName: '',
        sandboxId: POD,
      },
    });
    expect(isSandbox(pod)).toBe(true);

    const ended = listed.find(({ key }) => key === ENDED_POD)!;
    expect(ended).toMatchObject({ pid: 0, startedAt: '' });
    expect(isSandbox(ended)).toBe(true);

    const digest = 'sha256:0630afbcfebb45059794b9a9f160f57f50062d28351c49bb568a3f7e206855bd';
    expect(listed.find(({ key }) => key === SEGFAULTER)).toMatchObject({
      name: 'segfaulter',
      imageName: `quay.io/icdh/segfaulter@${digest}`,
      imageDigest: digest,
      imageId: 'sha256:d8087c58ebe51554d52054e955680805d86969dc9b6917f5e3fa3ecb81c86e33',
      pod: {
        namespace: 'default',
        podName: 'segfaulter',
        containerName: 'segfaulter',
        labels: { run: 'segfaulter' },
        hostNetwork: false,
        sandboxId: POD,
      },
    });
  });

  it('takes the pod from its sandbox where nobody labelled the container', async () => {
    const { inspect, inspectp } = recording('crio-redis');
    await serve({
      containerStatus: { [REDIS]: statusOf(inspect!) },
      sandboxStatus: { [REDIS_POD]: statusOf(inspectp!) },
    });
    const container = await engine.inspect(REDIS);
    expect(container).toMatchObject({
      name: 'podsandbox1-redis',
      pid: 11700,
      imageName: 'docker.io/library/redis:alpine',
      imageDigest: 'sha256:1961f4617f243f9e5277fbdda907572aa587f6aae12444b30b6a19645b635f32',
      imageId: '',
      startedAt: '2020-05-11T07:43:02.863614501Z',
      pod: {
        namespace: 'redhat.test.crio',
        podName: 'podsandbox1',
        podUid: 'redhat-test-crio',
        containerName: 'podsandbox1-redis',
        labels: { group: 'test' },
        sandboxId: REDIS_POD,
      },
    });
    expect(container!.pod).not.toHaveProperty('hostNetwork');
    expect(isSandbox((await engine.inspect(REDIS_POD))!)).toBe(true);
  });

  it('takes the pod from the labels where the sandbox is gone', async () => {
    const { ps, inspect } = recording('crio-sbdb');
    const containers = ps!['containers'] as Json[];
    const printed = inspect!['status'] as Json;
    // Published without labels, which the listing has.
    const full = { ...inspect!, status: { ...printed, labels: containers[0]!['labels'] } };
    await serve({ containers, containerStatus: { [SBDB]: statusOf(full) } });
    const [container] = await engine.list();
    const digest = 'sha256:622a44033b669976ebf4f95b9d5f5629c565dc296897bad34301cdd2075844ac';
    expect(container).toMatchObject({
      name: 'sbdb',
      pid: 0,
      startedAt: '2024-05-31T13:13:43.192788279Z',
      imageName: `quay.io/openshift-release-dev/ocp-v4.0-art-dev@${digest}`,
      imageDigest: digest,
      pod: {
        namespace: 'openshift-ovn-kubernetes',
        podName: 'ovnkube-node-dv5hp',
        containerName: 'sbdb',
        sandboxId: 'd9795a1474428ec74f70a83a03df842e1c9f540855592a584c668a885cc32b7b',
      },
    });
  });

  it('writes image ids as other engines do, and asks for nothing that it was told', async () => {
    const { asked } = await serve({
      containerStatus: { [FEDORA]: statusOf(recording('crio-fedora')['inspect']!) },
    });
    expect(await engine.inspect(FEDORA)).toMatchObject({
      imageName: 'registry.fedoraproject.org/fedora:40',
      imageDigest: 'sha256:38f45f977e83faf99fec515f906d60279dd4c9f82b58e9d2cb1e7a16e8f84cc7',
      imageId: 'sha256:6bbc4f22ddd87449bbe5585d55bd00fae8dd266785ff9b3dd38f481e51c8921f',
    });
    expect(asked).toEqual(['ContainerStatus']);
  });

  it('asks once for the image and the sandbox that containers share', async () => {
    const { asked, answers } = await serve(segfaulter());
    await engine.list();
    const askedFor = (method: string): number => asked.filter((one) => one === method).length;
    expect([askedFor('ImageStatus'), askedFor('PodSandboxStatus')]).toEqual([1, 1]);
    answers.containers.push({ ...answers.containers[0]!, id: NOBODY });
    await engine.list();
    expect(askedFor('ImageStatus')).toBe(1);
  });

  it('knows nothing of containers of others', async () => {
    const { asked } = await serve(segfaulter());
    expect(await engine.inspect('default/bb1')).toBeUndefined();
    expect(asked).toEqual([]);
    expect(await engine.inspect(NOBODY)).toBeUndefined();
  });

  it('does without what is not JSON, or too much of it', async () => {
    const printed = statusOf(recording('crio-redis')['inspect']!);
    const huge = `{"pid":1,"filler":"${'x'.repeat(2 << 20)}"}`;
    await serve({
      containerStatus: {
        [REDIS]: { ...printed, info: { info: '{"pid":11700' } },
        [FEDORA]: { ...printed, info: { info: huge } },
      },
    });
    for (const id of [REDIS, FEDORA]) {
      expect(await engine.inspect(id)).toMatchObject({ name: 'podsandbox1-redis', pid: 0 });
    }
  });

  it('rejects when the engine fails to answer', async () => {
    await serve({ containers: recording('crio-sbdb')['ps']!['containers'] as Json[] });
    await expect(engine.inspect(SBDB)).rejects.toThrow('ContainerStatus answered INTERNAL: not recorded');
  });

  it('passes on the events of an engine that sends them', async () => {
    const { streams } = await serve(segfaulter()).then((one) => Object.assign(one, { events: 'streamed' }));
    await watch();
    expect(kinds()).toEqual(['open']);
    for (const type of ['CREATED', 'STARTED', 'STOPPED', 'DELETED']) {
      streams[0]!.write({ containerId: SEGFAULTER, containerEventType: `CONTAINER_${type}_EVENT` });
    }
    await until(() => events.length === 5, 'four events');
    expect(events.slice(1)).toEqual(
      ['created', 'started', 'removed', 'deleted'].map((kind) => ({ kind, key: SEGFAULTER })),
    );
    stop.controller.abort();
    await watching;
  });

  it('knows the pod that an event told of', async () => {
    const { inspect, inspectp } = recording('crio-redis');
    const one = await serve({ containerStatus: { [REDIS]: statusOf(inspect!) } });
    one.events = 'streamed';
    await watch();
    const podSandboxStatus = statusOf(inspectp!)['status'];
    one.streams[0]!.write({
      containerId: REDIS,
      containerEventType: 'CONTAINER_STARTED_EVENT',
      podSandboxStatus,
    });
    await until(() => events.length === 2, 'the event');
    expect((await engine.inspect(REDIS))?.pod?.labels).toEqual({ group: 'test' });
    expect(one.asked).not.toContain('PodSandboxStatus');
  });

  it('ends watching with an error when the engine goes away', async () => {
    const one = await serve(segfaulter());
    one.events = 'streamed';
    await watch();
    one.stop();
    await expect(watching).rejects.toThrow(/UNAVAILABLE|CANCELLED/);
  });

  it.each(['disabled', 'unimplemented'] as const)('looks itself where events are %s', async (how) => {
    const one = await serve(segfaulter());
    one.events = how;
    await watch();
    await until(() => one.asked.filter((method) => method === 'ListContainers').length >= 1, 'a first look');
    const [container] = one.answers.containers;
    one.answers.containers = [{ ...container!, id: REDIS, state: 'CONTAINER_CREATED' }];
    await until(() => kinds().includes('created'), 'the new one');
    one.answers.containers = [{ ...container!, id: REDIS }];
    await until(() => kinds().includes('started'), 'its start');
    one.answers.containers = [{ ...container!, id: REDIS, state: 'CONTAINER_EXITED' }];
    await until(() => events.some((event) => event.kind === 'removed' && event.key === REDIS), 'its end');
    one.answers.containers = [];
    await until(() => events.some((event) => event.kind === 'deleted' && event.key === REDIS), 'its removal');
    const told = (id: string): string[] =>
      events.flatMap((event) => (event.kind !== 'open' && event.key === id ? [event.kind] : []));
    expect(told(SEGFAULTER)).toEqual(['removed', 'deleted']);
    expect(told(REDIS)).toEqual(['created', 'started', 'removed', 'deleted']);
  });

  it.each([
    ['containerd', '1.6.20~ds1'],
    ['containerd', 'v1.7.27'],
    ['cri-o', '1.27.8'],
    ['docker', '28.0.1'],
  ])('does not take events of %s %s, which others would miss', async (runtimeName, runtimeVersion) => {
    const one = await serve({ ...segfaulter(), version: { runtimeName, runtimeVersion } });
    one.events = 'streamed';
    await watch();
    expect(one.asked).not.toContain('GetContainerEvents');
  });

  it('says what is wrong with an engine without that protocol', async () => {
    server = undefined;
    const other = new Server();
    await new Promise((resolve) =>
      other.bindAsync(`unix:${socket()}`, ServerCredentials.createInsecure(), resolve),
    );
    engine = new CriEngine({ name: 'containerd', socketPath: socket() });
    await expect(engine.connect()).rejects.toThrow(
      `Cannot reach containerd at ${socket()}: it does not offer the Kubernetes container runtime interface (runtime.v1).`,
    );
    other.forceShutdown();
  });

  it('says within a second that an engine does not answer', async () => {
    const silent = createServer(() => {}).listen(socket());
    engine = new CriEngine({ name: 'cri-o', socketPath: socket() });
    await expect(engine.connect()).rejects.toThrow(EngineUnavailableError);
    await expect(engine.connect()).rejects.toThrow(/^Cannot reach cri-o at .*: no answer within 1000 ms\.$/);
    silent.close();
  });

  it('is not missed where it is not installed', async () => {
    engine = new CriEngine({ name: 'cri-o', socketPath: undefined });
    const error = await engine.connect().catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      missing: true,
      message: 'Cannot reach cri-o at /run/crio/crio.sock: there is no such socket.',
    });
  });
});
