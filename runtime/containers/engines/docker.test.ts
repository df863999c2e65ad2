import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, Server } from 'node:http';
import { createServer as createNetServer, type Server as NetServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DockerEngine } from './docker.js';
import type { EngineContainer, EngineEvent } from './engine.js';
import { EngineAnswerError, EngineUnavailableError } from '../errors.js';
import { follow } from '../follow.js';
import { ContainerManager } from '../manager.js';
import { Selector } from '../selector.js';

const ID = 'ab'.repeat(32);
const VERSION = { ApiVersion: '1.44', MinAPIVersion: '1.24' };

let directory: string;
let socketPath: string;
const servers: Server[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ig-docker-'));
  socketPath = join(directory, 'docker.sock');
});

afterEach(async () => {
  await Promise.all(servers.splice(0).map(stop));
  rmSync(directory, { recursive: true });
});

async function serve(handler: RequestListener): Promise<Server> {
  const server = createServer(handler);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  return server;
}

function stop(server: NetServer): Promise<unknown> {
  if (server instanceof Server) server.closeAllConnections();
  return new Promise((resolve) => server.close(resolve));
}

/** A server that answers each path (without its version) with JSON, and everything else with 404. */
function answers(byPath: Record<string, unknown>, paths: string[] = []): RequestListener {
  return (request, response) => {
    paths.push(request.url!);
    const path = request.url!.replace(/^\/v[\d.]+/, '').replace(/\?.*/, '');
    const known = Object.hasOwn(byPath, path);
    response.writeHead(known ? 200 : 404);
    response.end(JSON.stringify(known ? byPath[path] : { message: `no such thing: ${path}` }));
  };
}

describe('DockerEngine', () => {
  it('says that the socket is missing, and whether the user named it', async () => {
    const error = await new DockerEngine({ socketPath }).connect().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(EngineUnavailableError);
    expect(error).toMatchObject({
      message: `Cannot reach docker at ${socketPath}: there is no such socket.`,
      missing: false,
    });
  });

  it('says that nobody listens', async () => {
    writeFileSync(socketPath, '');
    await expect(new DockerEngine({ socketPath }).connect()).rejects.toThrow(/nobody listens there/);
  });

  it('says that it is not docker that listens', async () => {
    // As an engine with a gRPC API begins.
    const server = createNetServer((socket) => socket.resume().end(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])));
    await new Promise<void>((resolve) => server.listen(socketPath, resolve));
    const connecting = new DockerEngine({ socketPath }).connect();
    await expect(connecting).rejects.toThrow(
      `Cannot reach docker at ${socketPath}: something else listens there, as it does not speak HTTP.`,
    );
    await stop(server);
  });

  it('gives up on an engine that hangs', async () => {
    await serve(() => {});
    await expect(new DockerEngine({ socketPath }).connect()).rejects.toThrow(
      /no answer to GET \/version within/,
    );
  });

  it('gives up on an engine that hangs in the middle of an answer', async () => {
    await serve((_, response) => {
      response.writeHead(200);
      response.write('{"ApiVersion":');
    });
    await expect(new DockerEngine({ socketPath }).connect()).rejects.toThrow(EngineUnavailableError);
  });

  it.each([
    ['an error', 500, '{"message":"storage broke"}', /answered 500: storage broke/],
    ['a page of text', 502, 'bad gateway', /answered 502: bad gateway/],
    ['nonsense', 200, '<html>', /not JSON/],
  ])('quotes %s', async (_, status, body, message) => {
    await serve((_request, response) => response.writeHead(status).end(body));
    await expect(new DockerEngine({ socketPath }).connect()).rejects.toThrow(message);
  });

  it('stops reading an answer that does not end', async () => {
    const chunk = Buffer.alloc(1 << 20, 0x20);
    await serve((_, response) => {
      response.writeHead(200);
      const pump = (): void => {
        while (!response.destroyed && response.write(chunk));
      };
      response.on('drain', pump);
      pump();
    });
    await expect(new DockerEngine({ socketPath }).list()).rejects.toThrow(/larger than 32 MiB/);
  });

  it.each([
    ['1.24', '1.52', '1.41'],
    ['1.44', '1.52', '1.44'],
    ['1.12', '1.40', '1.40'],
  ])('speaks with a server of %s to %s in version %s', async (MinAPIVersion, ApiVersion, spoken) => {
    const paths: string[] = [];
    await serve(answers({ '/version': { MinAPIVersion, ApiVersion }, '/containers/json': [] }, paths));
    const engine = new DockerEngine({ socketPath });
    await engine.connect();
    await engine.list();
    expect(paths).toEqual(['/version', `/v${spoken}/containers/json?all=1`]);
  });

  it('lists what runs with its pid and digest, and what does not run without', async () => {
    await serve(
      answers({
        '/containers/json': [
          { Id: ID, Names: ['/other/alias', '/web'], State: 'running', Image: 'nginx', ImageID: 'sha256:1' },
          { Id: 'cd'.repeat(32), Names: ['/old'], State: 'exited', Image: 'redis', ImageID: 'sha256:2' },
          { nonsense: true },
          null,
        ],
        [`/containers/${ID}/json`]: {
          Id: ID,
          Name: '/web',
          Image: 'sha256:1',
          Config: { Image: 'nginx' },
          State: { Running: true, Pid: 77, StartedAt: '2026-01-01T00:00:00Z' },
        },
        '/images/sha256%3A1/json': { RepoDigests: ['docker.io/library/nginx@sha256:feed'] },
      }),
    );
    const containers = await new DockerEngine({ socketPath }).list();
    expect(containers.toSorted((a, b) => b.pid - a.pid)).toEqual([
      {
        key: ID,
        id: ID,
        name: 'web',
        pid: 77,
        imageName: 'nginx',
        imageDigest: 'sha256:feed',
        imageId: 'sha256:1',
        startedAt: '2026-01-01T00:00:00Z',
        bundle: '',
      },
      expect.objectContaining({ name: 'old', pid: 0, imageName: 'redis', startedAt: '' }),
    ]);
  });

  it('knows nothing of a container that docker does not know', async () => {
    await serve(answers({}));
    await expect(new DockerEngine({ socketPath }).inspect(ID)).resolves.toBeUndefined();
  });

  it('understands events however they are cut into pieces, and skips those it does not know', async () => {
    const lines = [
      { Action: 'create', Actor: { ID, Attributes: { name: 'wéb', image: 'nginx' } } },
      { Action: 'exec_start: sh', Actor: { ID } },
      { Action: 'constructor', Actor: { ID } },
      { Action: 'start', Actor: { ID } },
      { Action: 'die', Actor: { ID } },
      { Action: 'destroy', Actor: { ID } },
    ].map((event) => `${JSON.stringify(event)}\n`);
    const bytes = Buffer.from(lines.join('\n'));
    await serve((_, response) => {
      response.writeHead(200);
      for (let at = 0; at < bytes.length; at += 7) response.write(bytes.subarray(at, at + 7));
      response.end();
    });
    const events: EngineEvent[] = [];
    const watching = new DockerEngine({ socketPath }).watch(
      (event) => events.push(event),
      new AbortController().signal,
    );
    await expect(watching).rejects.toThrow(/stream of events ended/);
    expect(events).toEqual([
      { kind: 'open' },
      { kind: 'created', key: ID, name: 'wéb', imageName: 'nginx' },
      { kind: 'started', key: ID },
      { kind: 'removed', key: ID },
      { kind: 'deleted', key: ID },
    ]);
  });

  it('refuses an event that does not end', async () => {
    await serve((_, response) => {
      response.writeHead(200);
      for (let i = 0; i < 3; i++) response.write(Buffer.alloc(1 << 20, 0x61));
    });
    const watching = new DockerEngine({ socketPath }).watch(() => {}, new AbortController().signal);
    await expect(watching).rejects.toThrow(EngineAnswerError);
  });

  it('ends watching quietly when told to', async () => {
    await serve((_, response) => response.writeHead(200).flushHeaders());
    const stopping = new AbortController();
    const watching = new DockerEngine({ socketPath }).watch(() => stopping.abort(), stopping.signal);
    await expect(watching).resolves.toBeUndefined();
  });
});

describe('follow', () => {
  it('lists again when the engine comes back, and hears its events', async () => {
    const listings: string[][] = [];
    const heard: string[] = [];
    let lost = 0;
    const stopping = new AbortController();
    const notice = new EventTarget();
    const until = async (done: () => boolean): Promise<void> => {
      while (!done())
        await new Promise((resolve) => notice.addEventListener('news', resolve, { once: true }));
    };
    const news = <T>(value: T): T => (notice.dispatchEvent(new Event('news')), value);
    const daemon = (name: string, eventsAsWell: boolean): Promise<Server> => {
      const rest = answers({
        '/version': VERSION,
        '/containers/json': [{ Id: ID, Names: [`/${name}`], State: 'exited' }],
      });
      return serve((request, response) => {
        if (!request.url!.includes('/events')) return void rest(request, response);
        response.writeHead(200).flushHeaders();
        if (eventsAsWell) response.write(`${JSON.stringify({ Action: 'start', Actor: { ID } })}\n`);
      });
    };

    const following = follow(
      new DockerEngine({ socketPath }),
      {
        onReached: () => {},
        onList: (containers: EngineContainer[]) => news(listings.push(containers.map(({ name }) => name))),
        onEvent: (event) => news(heard.push(`${listings.length}: ${event.kind}`)),
        onLost: () => news(lost++),
      },
      stopping.signal,
    );
    await until(() => lost > 0);
    const first = await daemon('before', false);
    await until(() => listings.length === 1);
    const lostBefore = lost;
    await stop(first);
    await until(() => lost > lostBefore);
    await daemon('after', true);
    await until(() => heard.length > 0);
    stopping.abort();
    await following;
    expect(listings).toEqual([['before'], ['after']]);
    // Although it came at once, the event is newer than the list.
    expect(heard).toEqual(['2: started']);
  });

  it('waits for no list when it is told to end, and breaks it off', async () => {
    const stopping = new AbortController();
    const brokenOff = new Promise<void>((resolve) => {
      void serve((request, response) => {
        if (request.url === '/version') response.end(JSON.stringify(VERSION));
        else if (request.url!.includes('/events')) response.writeHead(200).flushHeaders();
        else {
          response.on('close', resolve);
          stopping.abort();
        }
      });
    });
    const engine = new DockerEngine({ socketPath });
    let list: Promise<unknown> | undefined;
    engine.list = () => (list = DockerEngine.prototype.list.call(engine));
    const nothing = (): void => {};
    const listener = { onReached: nothing, onList: nothing, onEvent: nothing, onLost: nothing };
    await follow(engine, listener, stopping.signal);
    await brokenOff;
    await expect(list).rejects.not.toBeInstanceOf(EngineAnswerError);
  });
});

describe('ContainerManager without an engine', () => {
  let manager: ContainerManager | undefined;
  afterEach(() => manager?.close());

  async function start(options: { containerName?: string; host?: boolean }): Promise<readonly string[]> {
    manager = new ContainerManager({
      selector: new Selector(options),
      engines: { runtimes: ['docker'], dockerSocketPath: socketPath },
      track: false,
    });
    await manager.start();
    return manager.warnings;
  }

  it.each([{}, { containerName: 'web' }])(
    'says where it looked and what to do (asked for %j)',
    async (options) => {
      const warnings = await start(options);
      expect(warnings).toEqual([
        'Containers are known only by what the machine itself tells of them, as no container engine answers: ' +
          `Cannot reach docker at ${socketPath}: there is no such socket; start the engine, run as root, or name its ` +
          'socket (with --docker-socketpath or one like it).',
      ]);
    },
  );

  it('warns of a socket the user named when only the host is asked for, too', async () => {
    const warnings = await start({ host: true });
    expect(warnings).toEqual([`Cannot reach docker at ${socketPath}: there is no such socket.`]);
  });

  it('starts all the same with an engine that hangs', async () => {
    await serve(() => {});
    const warnings = await start({ host: true });
    expect(warnings).toEqual([expect.stringMatching(/docker at .* does not answer yet/)]);
  });

  it('starts all the same with an engine that hangs when it is to list its containers', async () => {
    await serve((request, response) => {
      if (request.url === '/version') response.end(JSON.stringify(VERSION));
      if (request.url!.includes('/events')) response.writeHead(200).flushHeaders();
    });
    const warnings = await start({ host: true });
    expect(warnings).toEqual([expect.stringMatching(/docker at .* does not answer yet/)]);
  });

  it('ends its start when it is closed meanwhile', async () => {
    await serve(() => {});
    const starting = start({});
    manager?.close();
    await expect(starting).rejects.toThrow('aborted');
  });
});
