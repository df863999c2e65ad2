import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe as suite, expect, it, onTestFinished, vi } from 'vitest';
import { temporaryDirectory } from '../test/registry/images.js';
import { bodyOf, serve } from '../test/registry/server.js';
import type { Handler, RunningServer } from '../test/registry/server.js';
import { until } from '../test/until.js';
import { MAX_MANIFEST_BYTES, MEDIA_TYPE, describe } from './descriptor.js';
import {
  CaFileError,
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

suite('a download', () => {
  /** Sends ten bytes of the blob a time, in the way `send` does, from where it is asked to. */
  async function serveParts(send: (response: ServerResponse, part: Buffer) => void): Promise<RunningServer> {
    return serve((request, response) => {
      const begin = Number(/^bytes=([0-9]+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
      const range = `bytes ${begin}-${BLOB.length - 1}/${BLOB.length}`;
      response.statusCode = begin === 0 ? 200 : 206;
      if (begin > 0) response.setHeader('content-range', range);
      send(response, BLOB.subarray(begin, begin + 10));
    });
  }

  it('goes on when a proxy ends it as if it were whole', async () => {
    const { host, requests } = await serveParts((response, part) => response.end(part));
    expect(await fetchBlob(repositoryAt(host))).toEqual(BLOB);
    expect(requests.map(({ headers }) => headers.range)).toEqual([
      undefined,
      'bytes=10-',
      'bytes=20-',
      'bytes=30-',
      'bytes=40-',
    ]);
  });

  it('goes on when the server falls silent in the middle', async () => {
    const { host, requests } = await serve((request, response, count) => {
      if (count === 1) response.write(BLOB.subarray(0, 20));
      else response.writeHead(206).end(BLOB.subarray(20));
    });
    expect(await fetchBlob(repositoryAt(host, { timeoutMs: 200 }))).toEqual(BLOB);
    expect(requests[1]?.headers.range).toBe('bytes=20-');
  });

  it('is refused when the server goes on elsewhere than asked', async () => {
    const { host } = await serve((_request, response, count) => {
      if (count > 1) response.writeHead(206, { 'content-range': 'bytes 0-42/43' }).end(BLOB);
      else response.end(BLOB.subarray(0, 10));
    });
    await expect(fetchBlob(repositoryAt(host))).rejects.toThrow('sent bytes from 0 on when asked for');
  });

  it('is given up when the server trickles', async () => {
    const { host } = await serve((_request, response) => {
      const timer = setInterval(() => response.write('.'), 20);
      response.on('close', () => clearInterval(timer));
    });
    const manifest = repositoryAt(host, { timeoutMs: 300 }).resolve(`${host}/a/b:1`);
    await expect(manifest).rejects.toThrow('is too slow: it sent less than 1024 bytes in 0.3 s');
    const slow = describe('text/plain', Buffer.alloc(1_000_000));
    const download = fetchBytes(repositoryAt(host, { timeoutMs: 300 }), slow, 2_000_000, 'it');
    await expect(download).rejects.toThrow('is too slow: it sent less than 1024 bytes in 0.3 s');
  });

  it('is cut off as soon as it is longer than promised', async () => {
    let closed = false;
    const { host } = await serve((_request, response) => {
      const timer = setInterval(() => response.write(BLOB), 1);
      response.on('close', () => {
        clearInterval(timer);
        closed = true;
      });
    });
    await expect(fetchBlob(repositoryAt(host))).rejects.toThrow('is longer than 43 bytes');
    await until(() => closed, 'the end of the connection');
  });
});

suite('a manifest', () => {
  const INDEX = Buffer.from('{"schemaVersion":2,"manifests":[]}');
  const ROOT = describe(MEDIA_TYPE.index, INDEX);

  it('is read again when the connection breaks in the middle of it', async () => {
    const { host } = await serve((request, response, count) => {
      response.writeHead(200, { 'content-type': MEDIA_TYPE.index, 'content-length': INDEX.length });
      if (count === 1) response.write(INDEX.subarray(0, 10), () => request.socket.destroy());
      else response.end(INDEX);
    });
    expect((await repositoryAt(host).resolve(`${host}/a/b:1`)).digest).toBe(ROOT.digest);
  });

  it('is put again after status 503, under its digest and its tag', async () => {
    const puts: string[] = [];
    const { host } = await serve((request, response, count) => {
      puts.push(`${request.method} ${request.url} ${request.headers['content-type']}`);
      void bodyOf(request).then((body) => {
        expect(body).toEqual(INDEX);
        response.writeHead(count === 1 ? 503 : 201).end();
      });
    });
    const repository = repositoryAt(host);
    await repository.push(ROOT, [INDEX]);
    await repository.tag(ROOT, `${host}/a/b:v1`);
    const byDigest = `PUT /v2/a/b/manifests/${ROOT.digest} ${MEDIA_TYPE.index}`;
    expect(puts).toEqual([byDigest, byDigest, `PUT /v2/a/b/manifests/v1 ${MEDIA_TYPE.index}`]);
  });

  it('that the registry stores as something else is an error', async () => {
    const { host } = await serve((_request, response) => {
      response.writeHead(201, { 'docker-content-digest': DESCRIPTOR.digest }).end();
    });
    await expect(repositoryAt(host).push(ROOT, [INDEX])).rejects.toThrow(DigestMismatchError);
  });

  it('that the registry refuses is an error with its reason', async () => {
    const { host } = await serve((_request, response) => {
      response.writeHead(400).end('{"errors":[{"message":"blob unknown"}]}');
    });
    await expect(repositoryAt(host).push(ROOT, [INDEX])).rejects.toThrow(/answered 400 .*\(blob unknown\)/);
  });

  it('is not named by what is not in the repository', async () => {
    const repository = repositoryAt('registry.example');
    await expect(repository.tag(ROOT, 'registry.example/c/d:1')).rejects.toThrow(
      'is not in registry.example/a/b',
    );
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

suite('a registry out in the world', () => {
  /** Pulls from `registry.invalid`, which only a proxy knows, and which answers as `handler` says. */
  async function pullThroughProxy(handler: Handler): Promise<Uint8Array> {
    const target = await serve(handler);
    const proxy = createServer();
    proxy.on('connect', (_request, client) => {
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      client.pipe(connect(Number(target.host.split(':')[1]), '127.0.0.1')).pipe(client);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void proxy.close());
    vi.stubEnv('http_proxy', `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`);
    onTestFinished(() => void vi.unstubAllEnvs());
    return fetchBlob(repositoryAt('registry.invalid:80'));
  }

  it.each([
    '127.0.0.1',
    'localhost',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '2130706433',
    '169.254.169.254',
    '0.0.0.0',
  ])('does not get us to ask %s on this machine by a redirect', async (host) => {
    const own = await serve((_request, response) => response.end(BLOB));
    const location = `http://${host}:${own.host.split(':')[1]}/secret`;
    const failure = pullThroughProxy((_request, response) => response.writeHead(302, { location }).end());
    await expect(failure).rejects.toThrow('not allowed');
    expect(own.requests).toEqual([]);
  });

  it('does not get us to ask this machine for a token', async () => {
    const own = await serve((_request, response) => response.end('{"token":"t"}'));
    const challenge = `Bearer realm="http://${own.host}/token"`;
    const failure = pullThroughProxy((_request, response) => {
      response.writeHead(401, { 'www-authenticate': challenge }).end();
    });
    await expect(failure).rejects.toThrow('not allowed');
    expect(own.requests).toEqual([]);
  });
});

suite('a CA file', () => {
  function fileWith(text: string): string {
    const path = join(temporaryDirectory(), 'ca.pem');
    writeFileSync(path, text);
    return path;
  }

  it.each([
    ['holds no certificate', fileWith.bind(undefined, 'hello')],
    [
      'is damaged',
      fileWith.bind(undefined, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'),
    ],
    ['there is no such file', () => '/nonexistent/ca.pem'],
  ])('that cannot be used is named: %s', async (why, make) => {
    const caFile = make();
    const failure = fetchBlob(repositoryAt('127.0.0.1:1', { caFile }));
    await expect(failure).rejects.toThrow(CaFileError);
    await expect(failure).rejects.toThrow(caFile);
    await expect(failure).rejects.toThrow(why);
  });
});

suite('mirrors', () => {
  const has: Handler = (_request, response) => response.end(BLOB);
  const lacks: Handler = (_request, response) => response.writeHead(404).end();
  const breaks: Handler = (_request, response) => response.writeHead(500).end();

  /** A repository whose mirrors are at these servers, in this order. */
  function mirrored(registry: string, ...mirrors: string[]): RegistryRepository {
    return repositoryAt(registry, { mirrors: { [registry]: mirrors } });
  }

  it('are asked in order before the registry, at the repository below their path', async () => {
    const first = await serve(lacks);
    const second = await serve(has);
    const registry = await serve(has);
    const repository = mirrored(registry.host, `http://${first.host}`, `http://${second.host}/v2/cache/`);
    expect(await fetchBlob(repository)).toEqual(BLOB);
    expect(first.requests.map(({ url }) => url)).toEqual([`/v2/a/b/blobs/${DESCRIPTOR.digest}`]);
    expect(second.requests.map(({ url }) => url)).toEqual([`/v2/cache/a/b/blobs/${DESCRIPTOR.digest}`]);
    expect(registry.requests).toEqual([]);
  });

  it('that cannot be reached or fail are passed over from then on', async () => {
    const broken = await serve(breaks);
    const registry = await serve(has);
    const repository = mirrored(registry.host, 'http://127.0.0.1:1/v2', `http://${broken.host}/v2`);
    expect(await fetchBlob(repository)).toEqual(BLOB);
    const asked = broken.requests.length;
    expect(await fetchBlob(repository)).toEqual(BLOB);
    expect(broken.requests.length).toBe(asked);
  });

  it('are all named when none has it', async () => {
    const first = await serve(lacks);
    const registry = await serve(lacks);
    const failure = fetchBlob(mirrored(registry.host, `http://${first.host}`, 'http://127.0.0.1:1'));
    await expect(failure).rejects.toThrow(NotFoundError);
    await expect(failure).rejects.toThrow(
      `tried ${first.host} (has nothing of the kind), 127.0.0.1:1 (cannot be reached), ${registry.host} (has nothing of the kind)`,
    );
  });

  it('do not have their wrong bytes hidden by the registry', async () => {
    const mirror = await serve((_request, response) => response.end(Buffer.alloc(BLOB.length)));
    const registry = await serve(has);
    const failure = fetchBlob(mirrored(registry.host, `http://${mirror.host}`));
    await expect(failure).rejects.toThrow(DigestMismatchError);
  });

  it('get the credentials for their own host only', async () => {
    const mirror = await serve((request, response) => {
      if (request.headers.authorization === undefined) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
      } else response.end(BLOB);
    });
    const registry = await serve(has);
    const mirrors = { [registry.host]: [`http://${mirror.host}`] };
    const authFile = authFileFor(mirror.host);
    expect(await fetchBlob(repositoryAt(registry.host, { mirrors, authFile }))).toEqual(BLOB);
    expect(mirror.requests.at(-1)?.headers.authorization).toBe(BASIC);
    mirror.requests.length = 0;
    const others = authFileFor(registry.host);
    expect(await fetchBlob(repositoryAt(registry.host, { mirrors, authFile: others }))).toEqual(BLOB);
    expect(mirror.requests.every(({ headers }) => headers.authorization === undefined)).toBe(true);
    expect(registry.requests.length).toBe(1);
  });

  it('take a download up that another broke off', async () => {
    const mirror = await serve((request, response, count) => {
      if (count === 1) response.end(BLOB.subarray(0, 10));
      else request.socket.destroy();
    });
    const registry = await serve((_request, response) => response.writeHead(206).end(BLOB.subarray(10)));
    expect(await fetchBlob(mirrored(registry.host, `http://${mirror.host}`))).toEqual(BLOB);
    expect(registry.requests[0]?.headers.range).toBe('bytes=10-');
  });

  it('are never written to, nor asked what is there before writing', async () => {
    const mirror = await serve(has);
    const { host } = await serve((request, response) => {
      response.writeHead(request.method === 'HEAD' ? 404 : 201).end();
    });
    const index = Buffer.from('{"schemaVersion":2,"manifests":[]}');
    const root = describe(MEDIA_TYPE.index, index);
    const repository = mirrored(host, `http://${mirror.host}`);
    expect(await repository.has(DESCRIPTOR)).toBe(false);
    expect(await repository.has(root)).toBe(false);
    await repository.push(root, [index]);
    await repository.tag(root, `${host}/a/b:1`);
    expect(mirror.requests).toEqual([]);
  });

  it.each(['mirror.example', 'ftp://mirror.example/v2', 'http://'])('%j is refused', (mirror) => {
    expect(() => mirrored('registry.example', mirror)).toThrow('is not a URL such as');
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
