import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { describe as suite, expect, it, onTestFinished } from 'vitest';
import { temporaryDirectory } from '../test/registry/images.js';
import { bodyOf, serve } from '../test/registry/server.js';
import { digestOf } from './descriptor.js';
import type { Descriptor } from './descriptor.js';
import { DigestMismatchError, RegistryError, UnauthorizedError } from './errors.js';
import { parseReference } from './reference.js';
import { RegistryRepository } from './registry.js';

const SMALL = Buffer.from('a small blob');
/** More than is sent whole. */
const LARGE = randomBytes(17 * 1024 * 1024 + 5);
const PATH = '/v2/a/b/blobs/uploads/';

function blob(bytes: Uint8Array): Descriptor {
  return { mediaType: 'application/octet-stream', digest: digestOf(bytes), size: bytes.length };
}

type Step = (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>;

/** A registry that takes uploads; `before` may answer a request in its place by returning `true`. */
class UploadServer {
  host = '';
  /** `METHOD PATH` of what came in, without the host and digest. */
  readonly log: string[] = [];
  readonly blobs = new Map<string, Buffer>();
  readonly headers: Record<string, string> = {};
  session = Buffer.alloc(0);
  before: Step = () => false;

  static async start(before: Step = () => false): Promise<UploadServer> {
    const server = new UploadServer();
    server.before = before;
    const { host } = await serve((request, response) => void server.#answer(request, response));
    server.host = host;
    return server;
  }

  /** With alice's password for this server. */
  repository(): RegistryRepository {
    const authFile = join(temporaryDirectory(), 'config.json');
    const auth = Buffer.from('alice:s3cret').toString('base64');
    writeFileSync(authFile, JSON.stringify({ auths: { [this.host]: { auth } } }));
    const options = { insecureRegistries: [this.host], timeoutMs: 5000, authFile };
    const repository = new RegistryRepository(parseReference(`${this.host}/a/b`), options);
    onTestFinished(() => repository.close());
    return repository;
  }

  async push(bytes: Uint8Array, descriptor = blob(bytes)): Promise<void> {
    await this.repository().push(descriptor, [bytes]);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request;
    this.log.push(`${method} ${url.replace(/sha256:[0-9a-f]+|sha256%3A[0-9a-f]+/, 'DIGEST')}`);
    request.on('error', () => undefined);
    if (await this.before(request, response)) return;
    if (method === 'HEAD') {
      const found = this.blobs.get(url.slice(url.lastIndexOf('/') + 1));
      response.writeHead(found === undefined ? 404 : 200, { 'content-length': found?.length ?? 0 }).end();
    } else if (method === 'POST') {
      this.session = Buffer.alloc(0);
      response.writeHead(202, { location: `${PATH}1`, ...this.headers }).end();
    } else if (method === 'GET') this.#tell(response, 204);
    else if (method === 'PATCH') {
      const body = await bodyOf(request);
      expect(request.headers['content-range']).toBe(
        `${this.session.length}-${this.session.length + body.length - 1}`,
      );
      this.session = Buffer.concat([this.session, body]);
      this.#tell(response, 202);
    } else if (method === 'PUT') await this.#commit(request, response);
    else response.writeHead(204).end();
  }

  async #commit(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const content = Buffer.concat([this.session, await bodyOf(request)]);
    const digest = new URL(request.url ?? '', 'http://x').searchParams.get('digest');
    const isRight = digest === digestOf(content);
    if (isRight) this.blobs.set(digestOf(content), content);
    response.writeHead(isRight ? 201 : 400).end();
  }

  #tell(response: ServerResponse, status: number): void {
    const range = `0-${Math.max(0, this.session.length - 1)}`;
    response.writeHead(status, { location: `${PATH}1?state=${this.session.length}`, range }).end();
  }
}

/** Does `step` for the first request of this method, and nothing for others. */
function once(method: string, step: Step): Step {
  let done = false;
  return (request, response) => {
    if (done || request.method !== method) return false;
    done = true;
    return step(request, response);
  };
}

const breakConnection: Step = (request) => {
  request.socket.destroy();
  return true;
};

suite('an upload', () => {
  it('of a small blob is one request', async () => {
    const server = await UploadServer.start();
    await server.push(SMALL);
    expect(server.log).toEqual([`POST ${PATH}`, `PUT ${PATH}1?digest=DIGEST`]);
    expect(server.blobs.get(digestOf(SMALL))).toEqual(SMALL);
  });

  it('of nothing works too', async () => {
    const server = await UploadServer.start();
    await server.push(Buffer.alloc(0));
    expect(server.blobs.has(digestOf(Buffer.alloc(0)))).toBe(true);
  });

  it('of a large blob goes in pieces', async () => {
    const server = await UploadServer.start();
    await server.push(LARGE);
    expect(server.log).toEqual([
      `POST ${PATH}`,
      `PATCH ${PATH}1`,
      `PATCH ${PATH}1?state=8388608`,
      `PATCH ${PATH}1?state=16777216`,
      `PUT ${PATH}1?state=${LARGE.length}&digest=DIGEST`,
    ]);
    expect(server.blobs.get(digestOf(LARGE))?.equals(LARGE)).toBe(true);
  });

  it.each([
    [413, 1_000_000],
    [416, 4 * 1024 * 1024],
  ])('goes in smaller pieces where the registry answers %d to large ones', async (status, maxBytes) => {
    const server = await UploadServer.start(async (request, response) => {
      if (Number(request.headers['content-length'] ?? 0) <= maxBytes) return false;
      await bodyOf(request);
      response.writeHead(status).end();
      return true;
    });
    for (const bytes of [randomBytes(5_000_000), LARGE]) {
      await server.push(bytes);
      expect(server.blobs.get(digestOf(bytes))?.equals(bytes)).toBe(true);
    }
  });

  it('goes in pieces as large as the registry wants them', async () => {
    const server = await UploadServer.start();
    server.headers['oci-chunk-min-length'] = String(9 * 1024 * 1024);
    await server.push(LARGE);
    expect(server.log.filter((line) => line.startsWith('PATCH')).length).toBe(2);
    server.headers['oci-chunk-min-length'] = String(2 ** 40);
    await expect(server.push(LARGE)).rejects.toThrow('more than the limit');
  });

  it('goes on where a connection broke', async () => {
    const server = await UploadServer.start(
      once('PATCH', (request) => {
        server.session = LARGE.subarray(0, 1000); // which had arrived
        return breakConnection(request, undefined as never);
      }),
    );
    await server.push(LARGE);
    expect(server.log.slice(0, 4)).toEqual([
      `POST ${PATH}`,
      `PATCH ${PATH}1`,
      `GET ${PATH}1`,
      `PATCH ${PATH}1?state=1000`,
    ]);
    expect(server.blobs.get(digestOf(LARGE))?.equals(LARGE)).toBe(true);
  });

  it('goes on after the registry failed', async () => {
    const server = await UploadServer.start(
      once('PATCH', async (request, response) => {
        await bodyOf(request);
        response.writeHead(502).end();
        return true;
      }),
    );
    await server.push(LARGE);
    expect(server.blobs.get(digestOf(LARGE))?.equals(LARGE)).toBe(true);
  });

  it('that the registry has forgotten is given up with one sentence', async () => {
    const server = await UploadServer.start(({ method }, response) => {
      if (method === 'PATCH') response.writeHead(500).end();
      if (method === 'GET') response.writeHead(404).end();
      return method === 'PATCH' || method === 'GET';
    });
    await expect(server.push(LARGE)).rejects.toThrow('has lost the upload of');
    expect(server.log.at(-1)).toBe(`DELETE ${PATH}1`);
  });

  it('of a small blob is repeated when the connection breaks', async () => {
    const server = await UploadServer.start(once('PUT', breakConnection));
    await server.push(SMALL);
    expect(server.log).toEqual([
      `POST ${PATH}`,
      `PUT ${PATH}1?digest=DIGEST`,
      'HEAD /v2/a/b/blobs/DIGEST',
      `POST ${PATH}`,
      `PUT ${PATH}1?digest=DIGEST`,
    ]);
  });

  it('of which only the answer was lost is not repeated', async () => {
    const server = await UploadServer.start(
      once('PUT', (request, response) => {
        server.blobs.set(digestOf(SMALL), SMALL);
        return breakConnection(request, response);
      }),
    );
    await server.push(SMALL);
    expect(server.log.filter((line) => line.startsWith('PUT')).length).toBe(1);
  });

  it('sends nothing of small content that is not as promised', async () => {
    const server = await UploadServer.start();
    const wrong = { ...blob(SMALL), digest: digestOf(LARGE) };
    await expect(server.push(SMALL, wrong)).rejects.toThrow(DigestMismatchError);
    expect(server.log).toEqual([]);
  });

  it('never completes large content that is not as promised, and takes it back', async () => {
    const server = await UploadServer.start();
    const wrong = { ...blob(LARGE), digest: digestOf(SMALL) };
    await expect(server.push(LARGE, wrong)).rejects.toThrow(DigestMismatchError);
    expect(server.log.at(-1)).toMatch(/^DELETE /);
    expect(server.log.some((line) => line.startsWith('PUT'))).toBe(false);
  });

  it('that the registry refuses says so', async () => {
    const server = await UploadServer.start(
      once('POST', (_request, response) => {
        response.writeHead(403).end('{"errors":[{"message":"read only"}]}');
        return true;
      }),
    );
    const failure = server.push(SMALL);
    await expect(failure).rejects.toThrow(UnauthorizedError);
    await expect(failure).rejects.toThrow('denies access to a/b (read only)');
  });
});

suite('the address of an upload', () => {
  async function pushTo(location: string): Promise<UploadServer> {
    const server = await UploadServer.start((request, response) => {
      if (request.headers.authorization === undefined) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
      } else response.writeHead(202, { location }).end();
      return true;
    });
    await server.push(SMALL);
    return server;
  }

  it('may be at another server, which gets no credentials', async () => {
    const storage = await UploadServer.start();
    const seen: (string | undefined)[] = [];
    storage.before = ({ headers }) => seen.push(headers.authorization) === 0;
    const { log } = await pushTo(`http://${storage.host}/elsewhere?key=1`);
    expect(log).toEqual([`POST ${PATH}`, `POST ${PATH}`]);
    expect(storage.log).toEqual(['PUT /elsewhere?key=1&digest=DIGEST']);
    expect(seen).toEqual([undefined]);
    expect(storage.blobs.has(digestOf(SMALL))).toBe(true);
  });

  it.each(['ftp://127.0.0.1/x', 'file:///etc/passwd', 'http://['])(
    'is not followed to %s',
    async (location) => {
      await expect(pushTo(location)).rejects.toThrow('not allowed');
    },
  );

  it('has to be there', async () => {
    const server = await UploadServer.start((request, response) => {
      if (request.method === 'POST') response.writeHead(202).end();
      return request.method === 'POST';
    });
    await expect(server.push(SMALL)).rejects.toThrow(RegistryError);
  });
});

suite('a blob of another repository', () => {
  it('is taken over without being sent', async () => {
    const server = await UploadServer.start((request, response) => {
      if (request.method === 'POST') response.writeHead(201).end();
      return request.method === 'POST';
    });
    expect(await server.repository().mount(blob(SMALL), 'c/d')).toBe(true);
    expect(server.log).toEqual([`POST ${PATH}?mount=DIGEST&from=c%2Fd`]);
  });

  it('is sent to the upload the registry began instead', async () => {
    const server = await UploadServer.start();
    const repository = server.repository();
    expect(await repository.mount(blob(SMALL), 'c/d')).toBe(false);
    await repository.push(blob(SMALL), [SMALL]);
    expect(server.log).toEqual([`POST ${PATH}?mount=DIGEST&from=c%2Fd`, `PUT ${PATH}1?digest=DIGEST`]);
  });

  it.each([401, 403, 404, 405])('is sent when the registry answers %d', async (status) => {
    const server = await UploadServer.start(
      once('POST', (_request, response) => {
        response.writeHead(status).end();
        return true;
      }),
    );
    const repository = server.repository();
    expect(await repository.mount(blob(SMALL), 'c/d')).toBe(false);
    await repository.push(blob(SMALL), [SMALL]);
    expect(server.blobs.has(digestOf(SMALL))).toBe(true);
  });
});
