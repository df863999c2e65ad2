import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EngineEvent } from './engine.js';
import { PodmanEngine } from './podman.js';

const ID = 'ab'.repeat(32);
const NO_SUCH_CONTAINER = { message: 'no container with that name or ID: no such container', response: 404 };

const RUNNING = {
  Id: ID,
  Name: 'web',
  Image: '12'.repeat(32),
  ImageName: 'docker.io/library/nginx:latest',
  ImageDigest: 'sha256:feed',
  OCIConfigPath: '/var/lib/containers/x/userdata/config.json',
  State: { Status: 'running', Pid: 77, StartedAt: '2026-01-01T00:00:00.5Z' },
};

const ANSWER = {
  key: ID,
  id: ID,
  name: 'web',
  pid: 77,
  imageName: 'docker.io/library/nginx:latest',
  imageDigest: 'sha256:feed',
  imageId: `sha256:${'12'.repeat(32)}`,
  startedAt: '2026-01-01T00:00:00.5Z',
  bundle: '/var/lib/containers/x/userdata',
};

const OLD = {
  key: 'cd'.repeat(32),
  id: 'cd'.repeat(32),
  name: 'old',
  pid: 0,
  imageName: 'redis',
  imageDigest: '',
  imageId: 'sha256:34',
  startedAt: '',
  bundle: '',
};

let directory: string;
let socketPath: string;
let stopping: AbortController;
const servers: Server[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ig-podman-'));
  socketPath = join(directory, 'podman.sock');
  stopping = new AbortController();
});

afterEach(async () => {
  stopping.abort();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  rmSync(directory, { recursive: true });
});

function serve(handler: RequestListener): Promise<void> {
  const server = createServer(handler);
  servers.push(server);
  return new Promise((resolve) => server.listen(socketPath, resolve));
}

function answer(response: ServerResponse, body: unknown): void {
  response.writeHead(body === NO_SUCH_CONTAINER ? 404 : 200).end(JSON.stringify(body));
}

function eventLine(action: string, name = 'web', timeS = 1): string {
  const event = { Type: 'container', Action: action, time: timeS };
  return `${JSON.stringify({ ...event, Actor: { ID, Attributes: { name, image: 'nginx' } } })}\n`;
}

/** A podman that knows of one container what `inspection` says now; events are written to the streams. */
async function podman(inspection: () => unknown): Promise<{ streams: ServerResponse[]; asked: string[] }> {
  const streams: ServerResponse[] = [];
  const asked: string[] = [];
  await serve((request, response) => {
    const url = request.url!;
    asked.push(url);
    if (!url.includes('/events')) return answer(response, url.includes('limit=1') ? [] : inspection());
    response.writeHead(200).flushHeaders();
    streams.push(response);
  });
  return { streams, asked };
}

/** Watches until the test ends. */
async function watch(engine: PodmanEngine): Promise<EngineEvent[]> {
  const events: EngineEvent[] = [];
  await new Promise<void>((resolve) => {
    void engine.watch((event) => {
      events.push(event);
      resolve();
    }, stopping.signal);
  });
  return events;
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(5);
}

describe('PodmanEngine', () => {
  it('lists what runs as an inspection tells, and what does not run', async () => {
    await serve((request, response) => {
      if (request.url!.endsWith('/json')) return answer(response, RUNNING);
      const old = { Id: OLD.id, Names: ['old'], State: 'exited', Image: 'redis', ImageID: '34', Pid: 0 };
      answer(response, [
        { Id: ID, Names: ['web'], State: 'running', Pid: 77 },
        old,
        { nonsense: true },
        null,
      ]);
    });
    const containers = await new PodmanEngine({ socketPath }).list();
    expect(containers.toSorted((a, b) => b.pid - a.pid)).toEqual([ANSWER, OLD]);
  });

  it('still knows name and pid of a container that cannot be inspected', async () => {
    await serve((request, response) => {
      if (request.url!.endsWith('/json')) return void response.writeHead(500).end();
      answer(response, [{ Id: ID, Names: ['web'], State: 'running', Pid: 77 }]);
    });
    const containers = await new PodmanEngine({ socketPath }).list();
    expect(containers).toEqual([expect.objectContaining({ id: ID, name: 'web', pid: 77 })]);
  });

  it.each([
    ['initialized', 0, ''],
    ['exited', 0, ''],
    ['paused', 77, '2026-01-01T00:00:00.5Z'],
  ])('takes a container that is %s for one with pid %i', async (Status, pid, startedAt) => {
    await podman(() => ({ ...RUNNING, State: { ...RUNNING.State, Status } }));
    const found = await new PodmanEngine({ socketPath }).inspect(ID);
    expect(found).toEqual({ ...ANSWER, pid, startedAt });
  });

  it('says what is wrong with a socket that is not podman’s', async () => {
    await serve((_, response) => response.writeHead(404).end('{"message":"page not found"}'));
    await expect(new PodmanEngine({ socketPath }).connect()).rejects.toThrow(
      /^Cannot reach podman at \/.*: GET .* answered 404: page not found\.$/,
    );
  });

  it('tells of a container that is gone already before it says that podman does not know it', async () => {
    const { streams } = await podman(() => NO_SUCH_CONTAINER);
    const engine = new PodmanEngine({ socketPath });
    const events = await watch(engine);
    const inspecting = engine.inspect(ID).then((found) => ({ found, heard: [...events] }));
    await sleep(50);
    streams[0]!.write(
      ['create', 'init', 'start', 'died', 'remove'].map((action) => eventLine(action)).join(''),
    );
    const { found, heard } = await inspecting;
    expect(found).toBeUndefined();
    expect(heard).toContainEqual({ kind: 'created', key: ID, name: 'web', imageName: 'nginx' });
    await until(() => events.length === 5);
    expect(events.map(({ kind }) => kind).sort()).toEqual([
      'created',
      'deleted',
      'open',
      'removed',
      'started',
    ]);
  });

  it('asks nothing about what cannot be a container of podman', async () => {
    const { asked } = await podman(() => RUNNING);
    await expect(new PodmanEngine({ socketPath }).inspect('default/bb1')).resolves.toBeUndefined();
    expect(asked).toEqual([]);
  });

  it('does not wait for events for ever', async () => {
    await podman(() => NO_SUCH_CONTAINER);
    await expect(new PodmanEngine({ socketPath }).inspect(ID)).resolves.toBeUndefined();
  });

  it('keeps the end of a past life to itself', async () => {
    let status = 'running';
    const { streams, asked } = await podman(() => ({ ...RUNNING, State: { Status: status, Pid: 78 } }));
    const events = await watch(new PodmanEngine({ socketPath }));
    streams[0]!.write(eventLine('died') + eventLine('start'));
    await until(() => asked.some((url) => url.endsWith(`${ID}/json`)) && events.length === 2);
    status = 'exited';
    streams[0]!.write(eventLine('rename', 'two') + eventLine('died'));
    await until(() => events.at(-1)!.kind === 'removed');
    expect(events.slice(1)).toEqual([
      { kind: 'started', key: ID },
      { kind: 'created', key: ID, name: 'two', imageName: 'nginx' },
      { kind: 'removed', key: ID },
    ]);
  });

  it('does not take a container for ended that it cannot ask about', async () => {
    const { streams, asked } = await podman(() => 'no container');
    const events = await watch(new PodmanEngine({ socketPath }));
    servers[0]!.prependListener('request', (request, response: ServerResponse) => {
      if (request.url!.endsWith(`${ID}/json`)) response.destroy();
    });
    streams[0]!.write(eventLine('died'));
    await until(() => asked.some((url) => url.endsWith(`${ID}/json`)));
    streams[0]!.write(eventLine('remove'));
    await until(() => events.length > 1);
    expect(events.map(({ kind }) => kind)).toEqual(['open', 'deleted']);
  });

  it('goes on where a stream of events ended', async () => {
    const { streams, asked } = await podman(() => RUNNING);
    const events = await watch(new PodmanEngine({ socketPath }));
    const timeS = Math.floor(Date.now() / 1000) + 5;
    streams[0]!.write(eventLine('create', 'web', timeS));
    await sleep(1100);
    streams[0]!.end();
    await until(() => streams.length === 2);
    streams[1]!.write(eventLine('rename', 'two', timeS));
    await until(() => events.length === 3);
    expect(events.map(({ kind }) => kind)).toEqual(['open', 'created', 'created']);
    expect(asked.at(-1)).toContain(`since=${timeS}&`);
  });

  it('rejects when the stream ends at once', async () => {
    await serve((_, response) => response.writeHead(200).end());
    const watching = new PodmanEngine({ socketPath }).watch(() => {}, stopping.signal);
    await expect(watching).rejects.toThrow('the stream of events ended');
  });

  it('quotes a podman that keeps no events', async () => {
    const said = { message: 'cannot read events with the "none" backend', response: 500 };
    await serve((_, response) => response.writeHead(200).write(JSON.stringify(said) + '\n'));
    const watching = new PodmanEngine({ socketPath }).watch(() => {}, stopping.signal);
    await expect(watching).rejects.toThrow(
      'podman tells no events: cannot read events with the "none" backend',
    );
  });
});
