// What container engines answer: JSON of docker and podman, protobuf of containerd and of the CRI.

import { loadSync } from '@grpc/proto-loader';
import { createServer } from 'node:http2';
import { fileURLToPath } from 'node:url';
import { ContainerdEngine } from '../../../dist/runtime/containers/engines/containerd.js';
import { CriEngine } from '../../../dist/runtime/containers/engines/cri.js';
import { DockerEngine } from '../../../dist/runtime/containers/engines/docker.js';
import { GrpcClient } from '../../../dist/runtime/containers/engines/grpc.js';
import { PodmanEngine } from '../../../dist/runtime/containers/engines/podman.js';
import { HttpClient } from '../../../dist/runtime/containers/engines/unix-http.js';
import { EngineAnswerError, EngineUnavailableError } from '../../../dist/runtime/containers/errors.js';
import { ContainerView } from '../../../dist/runtime/containers/view.js';
import { describeContainer } from '../../../dist/runtime/containers/describe.js';
import { ensure } from '../oracles.js';
import { scratchFile } from '../scratch.js';

const ID = 'ab'.repeat(32);
const OTHER = 'cd'.repeat(32);
const REFUSALS = [EngineAnswerError, EngineUnavailableError];
const SOCKET = '/nowhere/engine.sock';
const GREETED = `${scratchFile('engine', '')}.sock`;

/** What the engine that is tried is answered: the connection itself is another's, and left out. */
let answers;

HttpClient.prototype.getJson = (path) => {
  const { pathname } = new URL(path, 'http://engine');
  const key = Object.keys(answers).find((suffix) => pathname.endsWith(suffix));
  if (key === undefined) return Promise.reject(new EngineAnswerError('none', { status: 404 }));
  return Promise.resolve(answers[key]);
};
HttpClient.prototype.streamLines = async (_path, _timeoutMs, stream) => {
  stream.onOpen();
  const { events } = answers;
  for (const event of Array.isArray(events) ? events : []) stream.onLine(JSON.stringify(event) ?? '');
  throw new EngineAnswerError('the stream of events ended');
};

/** What is told of a container has the types that it should have, and can be shown. */
function checkContainer(container) {
  if (container === undefined) return;
  const { pid, pod, ...texts } = container;
  for (const [key, value] of Object.entries(texts))
    ensure(typeof value === 'string', `${key} is ${typeof value}`);
  ensure(Number.isSafeInteger(pid) && pid >= 0, `pid is ${pid}`);
  const { labels = {}, hostNetwork, ...names } = pod ?? {};
  for (const value of [...Object.values(names), ...Object.values(labels)])
    ensure(typeof value === 'string', `a name is ${typeof value}`);
  ensure(hostNetwork === undefined || typeof hostNetwork === 'boolean', 'hostNetwork is no boolean');
  const known = { ...container, runtime: 'docker', mntns: 1 };
  new ContainerView().apply({
    kind: 'add',
    index: 0,
    mntns: 1,
    sinceBootNs: 0,
    selected: true,
    container: known,
  });
  JSON.stringify(describeContainer(known, {}));
}

async function ask(engine) {
  try {
    await engine.connect();
    const listed = await engine.list();
    listed.forEach(checkContainer);
    checkContainer(await engine.inspect(ID));
    const stop = new AbortController();
    const onEvent = ({ kind, ...said }) => {
      // What is polled has no end by itself.
      if (kind === 'open') setImmediate(() => stop.abort());
      ensure(['open', 'created', 'started', 'removed', 'deleted'].includes(kind), `an event is ${kind}`);
      for (const [key, value] of Object.entries(said))
        ensure(typeof value === 'string', `${key} is ${typeof value}`);
    };
    await engine.watch(onEvent, stop.signal);
  } finally {
    engine.close();
  }
}

function json(Engine) {
  return async (bytes) => {
    try {
      answers = JSON.parse(bytes.toString());
    } catch {
      return;
    }
    if (typeof answers === 'object' && answers !== null) await ask(new Engine({ socketPath: SOCKET }));
  };
}

const DOCKER = {
  '/version': { ApiVersion: '1.44', MinAPIVersion: '1.24', Components: [{ Name: 'Engine' }] },
  '/containers/json': [
    { Id: ID, Names: ['/a/web', '/web'], Image: 'nginx', ImageID: 'sha256:1', State: 'running' },
    { Id: OTHER, Names: ['/old'], State: 'exited' },
  ],
  [`/containers/${ID}/json`]: {
    ...{ Id: ID, Name: '/web', Image: 'sha256:1', State: { Running: true, Pid: 7, StartedAt: '2026' } },
    Config: {
      Image: 'nginx',
      Labels: { 'io.kubernetes.pod.name': 'p-abcde', 'io.kubernetes.pod.namespace': 'n' },
    },
  },
  '/images/sha256%3A1/json': { RepoDigests: ['nginx@sha256:2'] },
  events: [
    { Action: 'create', Actor: { ID, Attributes: { name: 'web', image: 'nginx' } }, time: 1 },
    { Action: 'die', Actor: { ID }, time: 2 },
  ],
};
const PODMAN = {
  '/containers/json': [
    { Id: ID, Names: ['web'], Image: 'nginx', ImageID: '1', State: 'running', Pid: 7 },
    { Id: OTHER, Names: ['old'], State: 'exited' },
  ],
  [`/containers/${ID}/json`]: {
    ...{
      Id: ID,
      Name: 'web',
      Image: '1',
      ImageName: 'nginx',
      ImageDigest: 'sha256:2',
      OCIConfigPath: '/b/config.json',
    },
    State: { Status: 'running', Pid: 7, StartedAt: '2026' },
  },
  events: [
    { Action: 'create', Actor: { ID, Attributes: { name: 'web', image: 'nginx' } }, time: 1 },
    { Action: 'died', Actor: { ID }, time: 2 },
  ],
};

const SHAPE = { longs: String, enums: String, defaults: true };

function definitionsIn(folder, files) {
  const root = fileURLToPath(
    new URL(`../../../dist/runtime/containers/engines/proto/${folder}/`, import.meta.url),
  );
  return loadSync(files, { ...SHAPE, includeDirs: [root] });
}

const DEFINITIONS = {
  ...definitionsIn('cri', ['api.proto']),
  ...definitionsIn('containerd', [
    ...['containers/v1/containers', 'events/v1/events', 'images/v1/images', 'namespaces/v1/namespace'].map(
      (name) => `services/${name}.proto`,
    ),
    ...['services/tasks/v1/tasks.proto', 'events/container.proto', 'events/task.proto'],
  ]),
};

function methodOf(name) {
  const [service, method] = name.split('/');
  return DEFINITIONS[service][method];
}

/** As grpc-js tells of a message that it cannot decode. */
function decode(deserialize, bytes) {
  try {
    return deserialize(Buffer.from(bytes));
  } catch (cause) {
    throw new EngineAnswerError('a message that cannot be decoded', { status: 13, cause });
  }
}

GrpcClient.prototype.call = async (method) => {
  const bytes = answers.get(method);
  if (bytes === undefined) throw new EngineAnswerError('none', { status: 5 });
  return decode(methodOf(method).responseDeserialize, bytes);
};
GrpcClient.prototype.stream = async (method, _request, { onMessage }) => {
  const bytes = answers.get(method);
  if (bytes !== undefined) onMessage(decode(methodOf(method).responseDeserialize, bytes));
};
GrpcClient.prototype.decoder = async () => (type, bytes) => decode(DEFINITIONS[type].deserialize, bytes);

/** Answers, each with the place of its method in `methods` and its size (u16) before it. */
function answersIn(bytes, methods) {
  const found = new Map();
  for (let at = 0; at + 3 <= bytes.length;) {
    const size = bytes.readUInt16LE(at + 1);
    found.set(methods[bytes[at] % methods.length], bytes.subarray(at + 3, at + 3 + size));
    at += 3 + size;
  }
  return found;
}

function answersAsBytes(messages, methods) {
  return Buffer.concat(
    Object.entries(messages).map(([method, message]) => {
      const body = methodOf(method).responseSerialize(message);
      const head = Buffer.from([methods.indexOf(method), body.length & 0xff, body.length >> 8]);
      return Buffer.concat([head, body]);
    }),
  );
}

/** Greets clients, which ask for no more. */
const greeter = createServer().on('session', (session) => session.on('error', () => undefined));
greeter.unref();

function protobuf(makeEngine, methods) {
  return async (bytes) => {
    if (!greeter.listening) await new Promise((resolve) => greeter.listen(GREETED, resolve));
    answers = answersIn(bytes, methods);
    await ask(makeEngine());
  };
}

const CRI_METHODS = [
  'Version',
  'ListPodSandbox',
  'ListContainers',
  'ContainerStatus',
  'PodSandboxStatus',
  'GetContainerEvents',
]
  .map((name) => `runtime.v1.RuntimeService/${name}`)
  .concat('runtime.v1.ImageService/ImageStatus');
const META = { name: 'web-7d9', namespace: 'shop', uid: 'u' };
const SANDBOX = {
  id: OTHER,
  metadata: META,
  state: 'SANDBOX_READY',
  createdAt: '1700000000123456789',
  labels: { app: 'web' },
};
const CONTAINER = {
  ...{
    id: ID,
    metadata: { name: 'web' },
    state: 'CONTAINER_RUNNING',
    image: { image: 'nginx' },
    imageRef: `a@sha256:${ID}`,
  },
  labels: { 'io.kubernetes.pod.name': 'web-7d9', 'io.kubernetes.pod.namespace': 'shop' },
};
const INFO = { info: JSON.stringify({ pid: 7, sandboxID: OTHER, runtimeSpec: { annotations: { a: 'b' } } }) };
const CRI = {
  'runtime.v1.RuntimeService/Version': { runtimeName: 'cri-o', runtimeVersion: '1.30.0' },
  'runtime.v1.RuntimeService/ListPodSandbox': { items: [SANDBOX] },
  'runtime.v1.RuntimeService/ListContainers': { containers: [{ ...CONTAINER, podSandboxId: OTHER }] },
  'runtime.v1.RuntimeService/ContainerStatus': {
    status: { ...CONTAINER, startedAt: '1700000000000000001' },
    info: INFO,
  },
  'runtime.v1.RuntimeService/PodSandboxStatus': {
    status: { ...SANDBOX, linux: { namespaces: { options: { network: 'NODE' } } } },
    info: INFO,
  },
  'runtime.v1.RuntimeService/GetContainerEvents': {
    ...{ containerId: ID, containerEventType: 'CONTAINER_STARTED_EVENT', podSandboxStatus: SANDBOX },
  },
  'runtime.v1.ImageService/ImageStatus': {
    image: { id: `sha256:${ID}`, repoTags: ['nginx:1'], repoDigests: ['a@sha256:b'] },
  },
};

const SERVICES = 'containerd.services';
const CONTAINERD_METHODS = [
  ...['namespaces.v1.Namespaces/List', 'containers.v1.Containers/ListStream', 'containers.v1.Containers/Get'],
  ...['tasks.v1.Tasks/List', 'tasks.v1.Tasks/Get', 'images.v1.Images/Get', 'events.v1.Events/Subscribe'],
]
  .map((name) => `${SERVICES}.${name}`)
  .concat('runtime.v1.RuntimeService/PodSandboxStatus');

function any(value) {
  return { type_url: 'types.containerd.io/x', value: Buffer.from(JSON.stringify(value)) };
}

const RECORD = {
  ...{ id: ID, image: 'nginx', sandbox: OTHER },
  labels: {
    'io.kubernetes.pod.name': 'p',
    'io.kubernetes.pod.namespace': 'n',
    'io.cri-containerd.kind': 'container',
  },
  spec: any({ annotations: { 'io.kubernetes.cri.sandbox-id': OTHER }, linux: { cgroupsPath: '/a/b' } }),
  extensions: { 'io.cri-containerd.container.metadata': any({ Metadata: { ImageRef: 'sha256:1' } }) },
};
const PROCESS = { id: ID, containerId: ID, pid: 7, status: 'RUNNING' };
const CONTAINERD = {
  [`${SERVICES}.namespaces.v1.Namespaces/List`]: { namespaces: [{ name: 'k8s.io' }] },
  [`${SERVICES}.containers.v1.Containers/ListStream`]: { container: RECORD },
  [`${SERVICES}.containers.v1.Containers/Get`]: { container: { ...RECORD, id: 'web', labels: {} } },
  [`${SERVICES}.tasks.v1.Tasks/List`]: { tasks: [PROCESS] },
  [`${SERVICES}.tasks.v1.Tasks/Get`]: { process: PROCESS },
  [`${SERVICES}.images.v1.Images/Get`]: { image: { name: 'nginx', target: { digest: 'sha256:2' } } },
  [`${SERVICES}.events.v1.Events/Subscribe`]: {
    ...{ namespace: 'k8s.io', topic: '/tasks/start' },
    event: {
      type_url: 'x',
      value: DEFINITIONS['containerd.events.TaskStart'].serialize({ containerId: ID, pid: 7 }),
    },
  },
};

export const TARGETS = {
  docker: { seeds: () => [JSON.stringify(DOCKER)], refusals: REFUSALS, run: json(DockerEngine) },
  podman: { seeds: () => [JSON.stringify(PODMAN)], refusals: REFUSALS, run: json(PodmanEngine) },
  cri: {
    seeds: () => [answersAsBytes(CRI, CRI_METHODS)],
    refusals: REFUSALS,
    run: protobuf(() => new CriEngine({ name: 'cri-o', socketPath: GREETED }), CRI_METHODS),
  },
  containerd: {
    seeds: () => [answersAsBytes(CONTAINERD, CONTAINERD_METHODS)],
    refusals: REFUSALS,
    run: protobuf(() => new ContainerdEngine({ socketPath: GREETED }), CONTAINERD_METHODS),
  },
};
