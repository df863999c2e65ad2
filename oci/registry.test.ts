import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe as suite, expect, it, onTestFinished, vi } from 'vitest';
import { temporaryDirectory } from '../test/registry/images.js';
import { MAX_MANIFEST_BYTES, MEDIA_TYPE, describe } from './descriptor.js';
import {
  DigestMismatchError,
  InvalidImageError,
  NotFoundError,
  RegistryError,
  TlsError,
  UnauthorizedError,
  UnreachableError,
} from './errors.js';
import { parseReference } from './reference.js';
import { RegistryRepository } from './registry.js';
import type { RegistryOptions } from './registry.js';
import { fetchBytes } from './target.js';

const BLOB = Buffer.from('the quick brown fox jumps over the lazy dog');
const DESCRIPTOR = describe('text/plain', BLOB);
const BASIC = `Basic ${Buffer.from('alice:s3cret').toString('base64')}`;

type Handler = (request: IncomingMessage, response: ServerResponse, count: number) => void;

/** A server on a free loopback port until the test ends; `requests` has what came in. */
async function serve(handler: Handler): Promise<{ host: string; requests: IncomingMessage[] }> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    handler(request, response, requests.length);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

function repositoryAt(host: string, options: RegistryOptions = {}): RegistryRepository {
  const all = { insecureRegistries: [host], authFile: authFileFor(host), ...options };
  const repository = new RegistryRepository(parseReference(`${host}/a/b`), all);
  onTestFinished(() => repository.close());
  return repository;
}

/** A credentials file with alice's password for `host`. */
function authFileFor(host: string): string {
  const path = join(temporaryDirectory(), 'config.json');
  const auth = Buffer.from('alice:s3cret').toString('base64');
  writeFileSync(path, JSON.stringify({ auths: { [host]: { auth } } }));
  return path;
}

function fetchBlob(repository: RegistryRepository): Promise<Uint8Array> {
  return fetchBytes(repository, DESCRIPTOR, 1000, 'it');
}

suite('requests to a registry', () => {
  it.each([429, 500, 503])('are repeated after status %i', async (status) => {
    const { host, requests } = await serve((_request, response, count) => {
      response.writeHead(count === 1 ? status : 200).end(BLOB);
    });
    expect(await fetchBlob(repositoryAt(host))).toEqual(BLOB);
    expect(requests.length).toBe(2);
  });

  it('are repeated after a broken connection', async () => {
    const { host } = await serve((request, response, count) => {
      if (count === 1) request.socket.destroy();
      else response.end(BLOB);
    });
    expect(await fetchBlob(repositoryAt(host))).toEqual(BLOB);
  });

  it('are given up after a few attempts', async () => {
    const { host, requests } = await serve((_request, response) => response.writeHead(503).end());
    await expect(fetchBlob(repositoryAt(host))).rejects.toThrow('answered 503');
    expect(requests.length).toBe(4);
  });

  it('are not repeated when the registry asks to wait for long', async () => {
    const { host, requests } = await serve((_request, response) => {
      response.writeHead(429, { 'retry-after': '3600' }).end();
    });
    await expect(fetchBlob(repositoryAt(host))).rejects.toThrow(RegistryError);
    expect(requests.length).toBe(1);
  });

  it('are not repeated when there is no such thing', async () => {
    const { host, requests } = await serve((_request, response) => response.writeHead(404).end());
    await expect(fetchBlob(repositoryAt(host))).rejects.toThrow(NotFoundError);
    expect(requests.length).toBe(1);
  });

  it('take a broken download up where it broke', async () => {
    const { host, requests } = await serve((request, response, count) => {
      if (count === 1) {
        response.writeHead(200, { 'content-length': BLOB.length });
        response.write(BLOB.subarray(0, 10), () => request.socket.destroy());
      } else {
        response.writeHead(206).end(BLOB.subarray(10));
      }
    });
    expect(await fetchBlob(repositoryAt(host))).toEqual(BLOB);
    expect(requests[1]?.headers.range).toBe('bytes=10-');
  });

  it('cope with a server that starts a broken download from the beginning', async () => {
    const { host } = await serve((request, response, count) => {
      response.writeHead(200, { 'content-length': BLOB.length });
      if (count === 1) response.write(BLOB.subarray(0, 10), () => request.socket.destroy());
      else response.end(BLOB);
    });
    expect(await fetchBlob(repositoryAt(host))).toEqual(BLOB);
  });

  it('end when the server says nothing', async () => {
    const { host } = await serve(() => undefined);
    await expect(fetchBlob(repositoryAt(host, { timeoutMs: 100 }))).rejects.toThrow(UnreachableError);
  });

  it('end when the server stops in the middle', async () => {
    const { host } = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': BLOB.length });
      response.write(BLOB.subarray(0, 10));
    });
    await expect(fetchBlob(repositoryAt(host, { timeoutMs: 100 }))).rejects.toThrow('no answer in time');
  });
});

suite('redirects', () => {
  it('to another host do not carry credentials', async () => {
    const storage = await serve((_request, response) => response.end(BLOB));
    const { host, requests } = await serve((request, response) => {
      if (request.headers.authorization !== BASIC) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
      } else response.writeHead(307, { location: `http://${storage.host}/elsewhere` }).end();
    });
    expect(await fetchBlob(repositoryAt(host))).toEqual(BLOB);
    expect(requests.at(-1)?.headers.authorization).toBe(BASIC);
    expect(storage.requests.map(({ url }) => url)).toEqual(['/elsewhere']);
    expect(storage.requests[0]?.headers.authorization).toBeUndefined();
  });

  it('within a host keep them', async () => {
    const { host } = await serve((request, response) => {
      if (request.headers.authorization !== BASIC) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
      } else if (request.url === '/other') response.end(BLOB);
      else response.writeHead(302, { location: '/other' }).end();
    });
    expect(await fetchBlob(repositoryAt(host))).toEqual(BLOB);
  });

  it('without end are given up', async () => {
    const { host, requests } = await serve((_request, response) =>
      response.writeHead(302, { location: '/x' }).end(),
    );
    await expect(fetchBlob(repositoryAt(host))).rejects.toThrow('redirected');
    expect(requests.length).toBe(6);
  });

  it('to something else than HTTP are refused', async () => {
    const { host } = await serve((_request, response) => {
      response.writeHead(302, { location: 'file:///etc/passwd' }).end();
    });
    await expect(fetchBlob(repositoryAt(host))).rejects.toThrow('not allowed: "file:///etc/passwd"');
  });
});

suite('content of a registry', () => {
  it.each([
    ['another', Buffer.from('the quick brown fox jumps over the lazy cat')],
    ['less', BLOB.subarray(1)],
    ['more', Buffer.concat([BLOB, BLOB])],
  ])('that is %s than asked for is refused', async (_how, content) => {
    const { host } = await serve((_request, response) => response.end(content));
    await expect(fetchBlob(repositoryAt(host))).rejects.toThrow(DigestMismatchError);
  });

  it('is refused when a manifest is too large', async () => {
    const { host } = await serve((_request, response) => {
      response.writeHead(200, { 'content-type': MEDIA_TYPE.index });
      response.end(Buffer.alloc(MAX_MANIFEST_BYTES + 1, ' '));
    });
    await expect(repositoryAt(host).resolve(`${host}/a/b:1`)).rejects.toThrow('is larger than');
  });

  it('is refused when the manifest is not the one the digest names', async () => {
    const { host } = await serve((_request, response) => {
      response.writeHead(200, { 'content-type': MEDIA_TYPE.index }).end('{}');
    });
    const name = `${host}/a/b@${DESCRIPTOR.digest}`;
    await expect(repositoryAt(host).resolve(name)).rejects.toThrow(DigestMismatchError);
  });

  it('is refused when it is no manifest', async () => {
    const { host } = await serve((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<html>');
    });
    await expect(repositoryAt(host).resolve(`${host}/a/b:1`)).rejects.toThrow(InvalidImageError);
  });
});

suite('a registry that gives out tokens', () => {
  it('gets the password where it says, and the token with every request', async () => {
    const tokens = await serve((_request, response) => response.end('{"token":"t0ken"}'));
    const { host, requests } = await serve((request, response) => {
      if (request.headers.authorization === 'Bearer t0ken') response.end(BLOB);
      else {
        const challenge = `Bearer realm="http://${tokens.host}/token",service="s",scope="repository:a/b:pull"`;
        response.writeHead(401, { 'www-authenticate': challenge }).end();
      }
    });
    const repository = repositoryAt(host);
    expect(await fetchBlob(repository)).toEqual(BLOB);
    expect(await fetchBlob(repository)).toEqual(BLOB);
    expect(tokens.requests.map(({ url }) => url)).toEqual([
      '/token?service=s&scope=repository%3Aa%2Fb%3Apull',
    ]);
    expect(tokens.requests[0]?.headers.authorization).toBe(BASIC);
    expect(requests.length).toBe(3);
  });

  it('needs no credentials for public images', async () => {
    const { host } = await serve((request, response) => {
      const { authorization } = request.headers;
      if (request.url?.startsWith('/token') === true) {
        response.writeHead(authorization === undefined ? 200 : 400).end('{"access_token":"t"}');
      } else if (authorization === 'Bearer t') response.end(BLOB);
      else {
        const challenge = `Bearer realm="http://${request.headers.host}/token"`;
        response.writeHead(401, { 'www-authenticate': challenge }).end();
      }
    });
    expect(await fetchBlob(repositoryAt(host, { authFile: authFileFor('other.example') }))).toEqual(BLOB);
  });

  it('is told when it sends nonsense', async () => {
    const { host } = await serve((request, response) => {
      if (request.url?.startsWith('/token') === true) response.end('{"token":"a\\r\\nb"}');
      else {
        const challenge = `Bearer realm="http://${request.headers.host}/token"`;
        response.writeHead(401, { 'www-authenticate': challenge }).end();
      }
    });
    await expect(fetchBlob(repositoryAt(host))).rejects.toThrow('sent no token');
  });
});

suite('a proxy', () => {
  it('named in the environment is used, but not for this machine', async () => {
    const target = await serve((_request, response) => response.end(BLOB));
    const proxy = createServer();
    const tunnels: string[] = [];
    proxy.on('connect', (request, client) => {
      tunnels.push(request.url ?? '');
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      client.pipe(connect(Number(target.host.split(':')[1]), '127.0.0.1')).pipe(client);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void proxy.close());
    vi.stubEnv('http_proxy', `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`);
    onTestFinished(() => void vi.unstubAllEnvs());
    expect(await fetchBlob(repositoryAt('registry.invalid:80'))).toEqual(BLOB);
    expect(tunnels).toEqual(['registry.invalid:80']);
    expect(await fetchBlob(repositoryAt(target.host))).toEqual(BLOB);
    expect(tunnels.length).toBe(1);
  });
});

suite('failures', () => {
  it('of authentication name the files looked at', async () => {
    const { host } = await serve((_request, response) => {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
    });
    const other = authFileFor('other.example');
    const failure = fetchBlob(repositoryAt(host, { authFile: other }));
    await expect(failure).rejects.toThrow(UnauthorizedError);
    await expect(failure).rejects.toThrow(`there are no credentials for it in ${other}`);
    await expect(fetchBlob(repositoryAt(host))).rejects.toThrow('it refused those of user alice');
  });

  it('to connect say what to do', async () => {
    const repository = repositoryAt('127.0.0.1:1');
    const failure = fetchBlob(repository);
    await expect(failure).rejects.toThrow(UnreachableError);
    await expect(failure).rejects.toThrow(
      'cannot reach registry 127.0.0.1:1 (connection refused): check the network',
    );
  });

  it('of a registry that does not speak TLS name the option', async () => {
    const { host } = await serve((_request, response) => response.end());
    const failure = fetchBlob(repositoryAt(host, { insecureRegistries: [] }));
    await expect(failure).rejects.toThrow(TlsError);
    await expect(failure).rejects.toThrow('--insecure-registries');
  });
});
