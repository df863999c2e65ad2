import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Authorizer, parseChallenge, repositoryScope } from './authorizer.js';
import type { Credentials } from './auth.js';
import { HttpClient } from './http.js';
import { until } from '../test/until.js';

const ALICE = { username: 'alice', password: 's3cret' };
const PULL = [repositoryScope('a/b', 'pull')];

interface TokenRequest {
  method: string;
  url: URL;
  authorization: string | undefined;
  body: string;
}

type Answer = (request: TokenRequest, response: ServerResponse, count: number) => void;

/** A registry that wants the tokens of a server that answers as told, and someone who asks both. */
async function registryWith(answer: Answer, credentials?: Credentials, challenge = 'service="s"') {
  const requests: TokenRequest[] = [];
  const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '', `http://${request.headers.host}`);
    if (url.pathname !== '/token') {
      response
        .writeHead(401, { 'www-authenticate': `Bearer realm="${url.origin}/token",${challenge}` })
        .end();
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = '', headers } = request;
    const body = Buffer.concat(chunks).toString();
    requests.push({ method, url, authorization: headers.authorization, body });
    answer(requests.at(-1)!, response, requests.length);
  };
  const server = createServer((request, response) => void respond(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const http = new HttpClient({ timeoutMs: 5000 });
  onTestFinished(async () => {
    await http.close();
    server.closeAllConnections();
    server.close();
  });
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v2/`);
  const lookup = { credentials, source: 'a file', files: ['a file'] };
  const authorizer = new Authorizer({ name: url.host, url }, http, () => Promise.resolve(lookup));
  /** What a request for `scopes` is answered with after `sent`. */
  const challenged = async (scopes: readonly string[], sent?: string): Promise<string> =>
    authorizer.answer(await http.get(url, {}), scopes, sent);
  return { authorizer, challenged, requests };
}

const give =
  (token: string, more: object = {}): Answer =>
  (_request, response) =>
    response.end(JSON.stringify({ token, ...more }));

const numbered =
  (expiresS: number): Answer =>
  (_request, response, count) =>
    response.end(JSON.stringify({ token: `t${count}`, expires_in: expiresS }));

describe('a token', () => {
  it('is asked for once by requests at the same time, and kept for later ones', async () => {
    const { authorizer, challenged, requests } = await registryWith(numbered(300));
    expect(await authorizer.header(PULL)).toBeUndefined();
    expect(await Promise.all([challenged(PULL), challenged(PULL), challenged(PULL)])).toEqual(
      Array(3).fill('Bearer t1'),
    );
    expect(await authorizer.header(PULL)).toBe('Bearer t1');
    expect(requests.length).toBe(1);
  });

  it('is renewed before it expires, once for all', async () => {
    const { authorizer, challenged, requests } = await registryWith(numbered(1));
    expect(await challenged(PULL)).toBe('Bearer t1');
    await until(async () => (await authorizer.header(PULL)) !== 'Bearer t1', 'another token');
    const headers = await Promise.all([authorizer.header(PULL), authorizer.header(PULL)]);
    expect(new Set(headers).size).toBe(1);
    expect(requests.length).toBeLessThan(4);
  });

  it('that the registry refuses is replaced', async () => {
    const { challenged } = await registryWith(numbered(300));
    const first = await challenged(PULL);
    expect(await challenged(PULL, first)).toBe('Bearer t2');
    // The answer to a request that was sent with the first one.
    expect(await challenged(PULL, first)).toBe('Bearer t2');
  });

  it('is for what the request needs and for what the registry asks, each resource once', async () => {
    const challenge = 'service="s",scope="repository:a/b:pull repository:c/d:pull"';
    const { challenged, requests } = await registryWith(give('t'), ALICE, challenge);
    const push = repositoryScope('a/b', 'pull,push');
    await challenged([push, repositoryScope('c/d', 'pull')]);
    expect(requests[0]?.url.searchParams.getAll('scope')).toEqual([
      'repository:a/b:pull,push',
      'repository:c/d:pull',
    ]);
    expect(await challenged([push])).toBe('Bearer t');
    expect(requests.length).toBe(2);
  });

  it('is asked for again after the server failed', async () => {
    const { challenged } = await registryWith((_request, response, count) => {
      if (count === 1) response.writeHead(404).end('{}');
      else response.end('{"access_token":"t"}');
    });
    await expect(challenged(PULL)).rejects.toThrow(
      /^the token server 127\.0\.0\.1:\d+ of registry .* answered 404$/,
    );
    expect(await challenged(PULL)).toBe('Bearer t');
  });

  it('is refused with the words of the server', async () => {
    const refuse: Answer = (_request, response) => {
      response.writeHead(401).end('{"details":"incorrect username or password"}');
    };
    const { challenged } = await registryWith(refuse, ALICE);
    await expect(challenged(PULL)).rejects.toThrow(
      /asks for authentication to read a\/b \(incorrect username or password\), and it refused those of user alice from a file: it has no such image, or you need to log in \(`ig login 127/,
    );
    await expect(challenged([repositoryScope('a/b', 'pull,push')])).rejects.toThrow(
      /to write to a\/b .*: you may not write there, or you need to log in/,
    );
  });
});

describe('an identity token', () => {
  const identity = { username: '', password: '', identityToken: 'refresh me' };

  it('is exchanged with a form', async () => {
    const { challenged, requests } = await registryWith(
      give('', { token: undefined, access_token: 't' }),
      identity,
    );
    expect(await challenged(PULL)).toBe('Bearer t');
    expect(requests[0]).toMatchObject({ method: 'POST', authorization: undefined });
    expect(Object.fromEntries(new URLSearchParams(requests[0]?.body))).toEqual({
      grant_type: 'refresh_token',
      client_id: 'ig',
      service: 's',
      scope: 'repository:a/b:pull',
      refresh_token: 'refresh me',
    });
  });

  it('does not follow a redirect', async () => {
    const { challenged, requests } = await registryWith((_request, response) => {
      response.writeHead(307, { location: '/token?again' }).end();
    }, identity);
    await expect(challenged(PULL)).rejects.toThrow('answered 307');
    expect(requests.length).toBe(1);
  });

  it('that is no longer good is refused', async () => {
    const { challenged } = await registryWith((_request, response) => {
      response.writeHead(400).end('{"error":"invalid_grant","error_description":"expired"}');
    }, identity);
    await expect(challenged(PULL)).rejects.toThrow(
      '(expired), and it refused the identity token from a file',
    );
  });
});

describe('a token server', () => {
  it('that redirects gets the password, but not where it redirects to', async () => {
    const elsewhere = await registryWith(give('t'));
    await elsewhere.challenged(PULL);
    const other = elsewhere.requests[0]!.url.origin;
    const { challenged } = await registryWith((_request, response) => {
      response.writeHead(302, { location: `${other}/token` }).end();
    }, ALICE);
    expect(await challenged(PULL)).toBe('Bearer t');
    expect(elsewhere.requests[1]?.authorization).toBeUndefined();
  });

  it.each([
    ['10 MB', ' '.repeat(10 * 2 ** 20), 'is larger than 65536 bytes'],
    ['no JSON', '<html>', 'sent no token'],
    ['no object', 'null', 'sent no token'],
    ['a token that is no text', '{"token":5}', 'sent no token'],
    ['a token that would end the header', '{"token":"a\\r\\nb: c"}', 'sent no token'],
  ])('that sends %s is told', async (_what, body, message) => {
    const { challenged } = await registryWith((_request, response) => response.end(body));
    await expect(challenged(PULL)).rejects.toThrow(message);
  });

  it.each([-1, 0, 'soon', null])('may say %j of the life of a token', async (life) => {
    const { authorizer, challenged, requests } = await registryWith(give('t', { expires_in: life }));
    await challenged(PULL);
    expect(await authorizer.header(PULL)).toBe('Bearer t');
    expect(requests.length).toBe(1);
  });
});

describe('a challenge', () => {
  async function answerTo(challenge: string, origin: string, credentials?: Credentials): Promise<string> {
    const server = createServer((_request, response) => {
      response.writeHead(401, { 'www-authenticate': challenge }).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const http = new HttpClient({ timeoutMs: 5000 });
    onTestFinished(async () => {
      await http.close();
      server.close();
    });
    const registry = { name: 'a.example', url: new URL(origin) };
    const lookup = { credentials, files: ['a file'], failures: ['a helper failed'] };
    const authorizer = new Authorizer(registry, http, () => Promise.resolve(lookup));
    const { port } = server.address() as AddressInfo;
    return authorizer.answer(await http.get(new URL(`http://127.0.0.1:${port}/`), {}), PULL, undefined);
  }

  it.each([
    ['Bearer', 'does not say from where (no realm)'],
    ['Bearer service="s"', 'does not say from where (no realm)'],
    ['Bearer realm="http://a.example/token"', 'not allowed: "http://a.example/token"'],
    ['Bearer realm="file:///etc/passwd"', 'not allowed: "file:///etc/passwd"'],
    ['Bearer realm="https://u:p@a.example/"', 'not allowed: "https://u:p@a.example/"'],
    ['Bearer realm="nonsense"', 'not allowed: "nonsense"'],
    ['Basic realm="r"', 'there are no credentials for it in a file (a helper failed)'],
    ['Negotiate', 'there are no credentials for it in a file'],
  ])('%s of a registry over TLS is refused', async (challenge, message) => {
    await expect(answerTo(challenge, 'https://a.example/v2/')).rejects.toThrow(message);
  });

  it('for basic authentication cannot be answered with an identity token', async () => {
    const identity = { username: '', password: '', identityToken: 't' };
    await expect(answerTo('Basic realm="r"', 'https://a.example/v2/', identity)).rejects.toThrow(
      'asks for a user name and password, and there is only an identity token for it',
    );
  });

  it('is understood in the forms registries send', () => {
    expect(parseChallenge('Bearer realm="https://a/t",service="a",scope="x:y:pull,push"')).toEqual({
      scheme: 'bearer',
      parameters: { realm: 'https://a/t', service: 'a', scope: 'x:y:pull,push' },
    });
    expect(parseChallenge('bearer realm=https://a/t, error="say \\"please\\""')?.parameters).toEqual({
      realm: 'https://a/t',
      error: 'say "please"',
    });
    expect(parseChallenge('basic realm="a"')?.scheme).toBe('basic');
    expect(parseChallenge('Negotiate')).toBeUndefined();
  });
});
