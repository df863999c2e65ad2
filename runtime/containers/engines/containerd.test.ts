import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type Server as NetServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  Server,
  ServerCredentials,
  status,
  type Metadata,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ContainerdEngine } from './containerd.js';
import type { EngineEvent } from './engine.js';
import { EngineUnavailableError } from '../errors.js';

const proto = (folder: string) => fileURLToPath(new URL(`./proto/${folder}`, import.meta.url));
const DEFINITIONS = loadSync(
  [
    ...['containers', 'events', 'images', 'namespaces', 'tasks', 'version'].map(
      (name) => `services/${name}/v1/${name === 'namespaces' ? 'namespace' : name}.proto`,
    ),
    ...['events/container.proto', 'events/task.proto', 'api.proto'],
  ],
  { includeDirs: [proto('containerd'), proto('cri')] },
);
const HEX = 'ab'.repeat(32);
const SANDBOX = 'cd'.repeat(32);

type Answer = (request: Record<string, string>, namespace: string) => object | Promise<object>;

interface Stream {
  write(message: object): void;
  end(): void;
}

let directory: string;
let socketPath: string;
let server: Server | undefined;
let other: NetServer | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ig-containerd-'));
  socketPath = join(directory, 'containerd.sock');
});

afterEach(() => {
  server?.forceShutdown();
  other?.close();
  rmSync(directory, { recursive: true });
});

async function listen(onConnection: (socket: Socket) => void): Promise<void> {
  other = createServer(onConnection);
  await once(other.listen(socketPath), 'listening');
}

/** What an answer throws to say that there is no such thing. */
const missing = Object.assign(new Error('not found'), { code: status.NOT_FOUND });
const never: Answer = () => new Promise(() => {});

/** Serves `Service/Method`s; those that are not given are answered with UNIMPLEMENTED, as all of CRI. */
async function serve(answers: Record<string, Answer>, onSubscribe?: (stream: Stream) => void): Promise<void> {
  const started = new Server();
  server = started;
  const all = { 'Namespaces/List': () => ({}), ...answers };
  for (const [name, definition] of Object.entries(DEFINITIONS)) {
    if ('format' in definition || !name.startsWith('containerd.')) continue;
    const service = name.slice(name.lastIndexOf('.') + 1);
    const methods: Record<string, unknown> = {};
    if (service === 'Events' && onSubscribe !== undefined) methods['Subscribe'] = onSubscribe;
    for (const [method, answer] of Object.entries(all)) {
      const [of, rpc = ''] = method.split('/');
      if (of === service) methods[rpc] = rpc === 'ListStream' ? streaming(answer) : answering(answer);
    }
    started.addService(definition, methods as UntypedServiceImplementation);
  }
  await new Promise<void>((resolve, reject) => {
    started.bindAsync(`unix:${socketPath}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    );
  });
}

interface Call extends Stream {
  readonly request: Record<string, string>;
  readonly metadata: Metadata;
}

async function ask(answer: Answer, { request, metadata }: Call): Promise<object> {
  return answer(request, String(metadata.get('containerd-namespace')[0] ?? ''));
}

function answering(answer: Answer) {
  return (call: Call, reply: (error: unknown, message?: object) => void): void =>
    void ask(answer, call).then((message) => reply(null, message), reply);
}

function streaming(answer: Answer) {
  return (call: Call): void =>
    void ask(answer, call).then((containers) => {
      for (const container of containers as object[]) call.write({ container });
      call.end();
    });
}

const any = (value: unknown) => ({ type_url: 'json', value: Buffer.from(JSON.stringify(value)) });
const spec = (cgroupsPath: string) => any({ linux: { cgroupsPath } });

function envelope(topic: string, type: string, message: object, namespace = 'default'): object {
  const definition = DEFINITIONS[`containerd.events.${type}`] as MessageTypeDefinition<object, object>;
  return {
    namespace,
    topic,
    event: { type_url: `containerd.events.${type}`, value: definition.serialize(message) },
  };
}

/** What is heard until the stream ends, and how it ends. */
async function watch(engine: ContainerdEngine): Promise<{ events: EngineEvent[]; error: unknown }> {
  const events: EngineEvent[] = [];
  const watching = engine.watch((event) => events.push(event), new AbortController().signal);
  return { error: await watching.catch((caught: unknown) => caught), events };
}

describe('ContainerdEngine', () => {
  it('says that the socket is missing, or that nobody listens', async () => {
    const engine = new ContainerdEngine({ socketPath });
    await expect(engine.connect()).rejects.toThrow(
      `Cannot reach containerd at ${socketPath}: there is no such socket.`,
    );
    writeFileSync(socketPath, '');
    await expect(engine.connect()).rejects.toThrow(/nobody listens there/);
  });

  it('gives up on a socket that accepts and never answers, and keeps nothing of it', async () => {
    const sockets: Socket[] = [];
    await listen((socket) => sockets.push(socket));
    const connecting = new ContainerdEngine({ socketPath }).connect();
    await expect(connecting).rejects.toThrow(EngineUnavailableError);
    await expect(connecting).rejects.toThrow(/no answer within/);
    for (const socket of sockets) if (!socket.closed) await once(socket.resume(), 'close');
  });

  it.each([
    ['hangs up', (socket: Socket) => void socket.end(), /it hung up/],
    [
      'speaks HTTP/1',
      (socket: Socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
      /something else listens there, as it does not speak gRPC\.$/,
    ],
  ])('gives up on a server that %s', async (_, onConnection, reason) => {
    await listen(onConnection);
    await expect(new ContainerdEngine({ socketPath }).connect()).rejects.toThrow(reason);
  });

  it('refuses a namespace that cannot be one', async () => {
    const engine = new ContainerdEngine({ socketPath, namespace: 'a/b' });
    await expect(engine.connect()).rejects.toThrow(/"a\/b" is no name of a namespace/);
  });

  it('stops reading an answer that is too large', async () => {
    await serve({ 'Namespaces/List': () => ({ namespaces: [{ name: 'x'.repeat(33 << 20) }] }) });
    await expect(new ContainerdEngine({ socketPath }).list()).rejects.toThrow(/RESOURCE_EXHAUSTED/);
  });

  it('lists every namespace but that of docker, and no container that cannot be one', async () => {
    const containers: Record<string, object[]> = {
      default: [
        { id: 'web', image: 'nginx', spec: spec('/elsewhere/web') },
        { id: 'broken', spec: { type_url: 'json', value: Buffer.from('{') } },
        { id: '../../etc' },
        {},
      ],
      build: [{ id: HEX, labels: { 'nerdctl/name': 'job' } }],
      moby: [{ id: SANDBOX }],
    };
    const asked: string[] = [];
    await serve({
      'Namespaces/List': () => ({
        namespaces: ['default', 'build', 'moby', 'a\nb'].map((name) => ({ name })),
      }),
      'Containers/ListStream': (_, namespace) => (asked.push(namespace), containers[namespace] ?? []),
      'Tasks/List': (_, namespace) => ({
        tasks: namespace === 'build' ? [] : [{ id: 'web', pid: process.pid, status: 'RUNNING' }],
      }),
      'Images/Get': ({ name }) => ({ image: { target: { digest: `sha256:of-${name}` } } }),
    });
    const listed = await new ContainerdEngine({ socketPath }).list();
    expect(asked.toSorted()).toEqual(['build', 'default']);
    const nothing = { pid: 0, imageName: '', imageDigest: '', imageId: '', startedAt: '', bundle: '' };
    expect(listed).toEqual([
      {
        key: 'elsewhere/web',
        id: 'web',
        name: 'web',
        pid: process.pid,
        imageName: 'nginx',
        imageDigest: 'sha256:of-nginx',
        imageId: '',
        startedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string,
        bundle: '',
      },
      { ...nothing, key: 'default/broken', id: 'broken', name: 'broken' },
      { ...nothing, key: HEX, id: HEX, name: 'job' },
    ]);
  });

  it('names a container whose task hangs or cannot be had, without its pid', async () => {
    await serve({
      'Containers/Get': ({ id }) => ({ container: { id, image: 'nginx', spec: spec('/default/web') } }),
      'Tasks/Get': never,
      'Images/Get': () => ({ image: { target: { digest: 'sha256:1' } } }),
    });
    const container = await new ContainerdEngine({ socketPath }).inspect('default/web');
    expect(container).toMatchObject({ name: 'web', pid: 0, imageDigest: 'sha256:1' });
  });

  it('has no pid of a task that ended', async () => {
    await serve({
      'Containers/Get': ({ id }) => ({ container: { id } }),
      'Tasks/Get': () => ({ process: { pid: process.pid, status: 'STOPPED' } }),
    });
    const container = await new ContainerdEngine({ socketPath }).inspect('default/web');
    expect(container).toMatchObject({ pid: 0, startedAt: '', bundle: '' });
  });

  it('knows nothing of a container that is not there, is in another cgroup, or is no one', async () => {
    await serve({
      'Containers/Get': ({ id }) => {
        if (id !== 'moved') throw missing;
        return { container: { id, spec: spec('/elsewhere/moved') } };
      },
    });
    const engine = new ContainerdEngine({ socketPath });
    for (const key of ['default/web', 'default/moved', 'a b/c', 'moby/moved', HEX]) {
      await expect(engine.inspect(key)).resolves.toBeUndefined();
    }
  });

  it('tells of the pod what CRI says, and what its sandbox says where there is no CRI', async () => {
    const labels = {
      'io.kubernetes.pod.name': 'db-0',
      'io.kubernetes.pod.namespace': 'shop',
      'io.kubernetes.container.name': 'postgres',
    };
    const annotations = { 'io.kubernetes.cri.sandbox-id': SANDBOX };
    const records: Record<string, object> = {
      [HEX]: { id: HEX, labels, spec: any({ annotations }) },
      [SANDBOX]: {
        id: SANDBOX,
        labels: { ...labels, app: 'db', 'io.cri-containerd.kind': 'sandbox' },
        spec: any({ annotations, linux: { namespaces: [{ type: 'pid' }] } }),
      },
    };
    await serve({
      'Namespaces/List': () => ({ namespaces: [{ name: 'k8s.io' }] }),
      'Containers/ListStream': () => Object.values(records),
      'Containers/Get': ({ id }) => ({ container: records[id!] }),
      'Tasks/List': () => ({ tasks: [] }),
    });
    const [container, sandbox] = await new ContainerdEngine({ socketPath }).list();
    const pod = {
      podName: 'db-0',
      namespace: 'shop',
      labels: { app: 'db' },
      hostNetwork: true,
      sandboxId: SANDBOX,
    };
    expect(container).toMatchObject({ name: 'postgres', pod: { ...pod, containerName: 'postgres' } });
    expect(sandbox).toMatchObject({ name: SANDBOX.slice(0, 12), pod: { ...pod, containerName: '' } });
  });

  it('tells of each container in order, however late its cgroup is known', async () => {
    let subscribed: Stream | undefined;
    let answerGet = (_: object): void => {};
    await serve(
      {
        'Containers/Get': ({ id }) =>
          id === 'slow' ? new Promise((resolve) => (answerGet = resolve)) : { container: { id } },
      },
      (stream) => (subscribed = stream),
    );
    const events: EngineEvent[] = [];
    const stopping = new AbortController();
    const watching = new ContainerdEngine({ socketPath }).watch((event) => {
      events.push(event);
      if (event.kind === 'open') tell();
      if (event.kind === 'started' && event.key === 'default/quick') {
        answerGet({ container: { id: 'slow', spec: spec('/elsewhere/slow') } });
      }
      if (event.kind === 'deleted') stopping.abort();
    }, stopping.signal);
    const tell = (): void => {
      const send = (topic: string, type: string, message: object): void =>
        subscribed!.write(envelope(topic, type, message));
      send('/containers/create', 'ContainerCreate', { id: 'slow' });
      send('/tasks/create', 'TaskCreate', { containerId: 'slow', pid: 7 });
      send('/tasks/exit', 'TaskExit', { containerId: 'slow', id: 'some-exec' });
      send('/tasks/exit', 'TaskExit', { containerId: 'slow', id: 'slow' });
      send('/containers/delete', 'ContainerDelete', { id: 'slow' });
      send('/tasks/start', 'TaskStart', { containerId: 'quick', pid: 8 });
    };
    await watching;
    expect(events[0]).toEqual({ kind: 'open' });
    expect(events.filter((event) => 'key' in event && event.key !== 'default/quick')).toEqual(
      ['created', 'started', 'removed', 'deleted'].map((kind) => ({ kind, key: 'elsewhere/slow' })),
    );
  });

  it('asks for the digest of an image once, and again when the name may stand for another', async () => {
    let asked = 0;
    let subscribed: Stream | undefined;
    await serve(
      {
        'Containers/Get': ({ id }) => ({ container: { id, image: 'nginx' } }),
        'Images/Get': () => ({ image: { target: { digest: `sha256:${++asked}` } } }),
      },
      (stream) => (subscribed = stream),
    );
    const engine = new ContainerdEngine({ socketPath });
    const digest = async () => (await engine.inspect(HEX))?.imageDigest;
    const stopping = new AbortController();
    let heard = (): void => {};
    const watching = engine.watch(() => heard(), stopping.signal);
    await new Promise<void>((resolve) => (heard = resolve));
    subscribed!.write(envelope('/tasks/start', 'TaskStart', { containerId: HEX }));
    await new Promise<void>((resolve) => (heard = resolve));
    expect([await digest(), await digest()]).toEqual(['sha256:1', 'sha256:1']);
    subscribed!.write({ namespace: 'default', topic: '/images/update', event: any({}) });
    subscribed!.write(envelope('/tasks/start', 'TaskStart', { containerId: HEX }));
    await new Promise<void>((resolve) => (heard = resolve));
    expect(await digest()).toBe('sha256:2');
    stopping.abort();
    await watching;
  });

  it('ends with an error when the stream ends', async () => {
    await serve({}, (stream) => setImmediate(() => stream.end()));
    const { error } = await watch(new ContainerdEngine({ socketPath }));
    expect(error).toMatchObject({ message: expect.stringMatching(/the stream of events ended/) as string });
  });

  it('ends with an error when an event cannot be understood', async () => {
    const broken = {
      namespace: 'default',
      topic: '/tasks/start',
      event: { type_url: '', value: Buffer.from([255]) },
    };
    await serve({}, (stream) => stream.write(broken));
    const { error } = await watch(new ContainerdEngine({ socketPath }));
    expect(error).toMatchObject({
      message: expect.stringMatching(/TaskStart that cannot be decoded/) as string,
    });
  });

  it('says that it cannot be reached when it hangs, or is no containerd', async () => {
    await serve({ 'Namespaces/List': never }, () => {});
    const hanging = await watch(new ContainerdEngine({ socketPath }));
    expect(hanging.events).toEqual([]);
    expect(hanging.error).toMatchObject({
      message: `Cannot reach containerd at ${socketPath}: no answer to Namespaces/List within 1000 ms.`,
    });
    server?.forceShutdown();
    await serve({});
    const strange = await watch(new ContainerdEngine({ socketPath }));
    expect(strange.error).toBeInstanceOf(EngineUnavailableError);
    expect(strange.error).toMatchObject({ message: expect.stringMatching(/UNIMPLEMENTED/) as string });
  });
});
