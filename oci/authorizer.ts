/**
 * Everything between a registry's 401 and the `Authorization` header that answers it.
 *
 * Protocol: basic authentication (RFC 7617), token authentication as in
 * https://distribution.github.io/distribution/spec/auth/token/, and for identity tokens
 * https://distribution.github.io/distribution/spec/auth/oauth/.
 */
import type { CredentialLookup, Credentials } from './auth.js';
import { RegistryError, UnauthorizedError, quoted } from './errors.js';
import { discard, errorText, headerOf, readBody } from './http.js';
import type { HttpClient, Response } from './http.js';

const MAX_CHALLENGE_LENGTH = 4096;
const MAX_TOKEN_BYTES = 64 * 1024;
const CLIENT_ID = 'ig';
/** How long a token lasts whose server does not say (token specification, `expires_in`). */
const DEFAULT_TOKEN_S = 60;
/** A token is renewed when this part of its life is over, so that none expires on its way. */
const USABLE_PART = 0.9;

/** What a request is for, as token servers name it: `repository:a/b:pull,push`. */
export function repositoryScope(repository: string, actions: 'pull' | 'pull,push'): string {
  return `repository:${repository}:${actions}`;
}

/** A registry as those who authorize see it. */
export interface AuthorizedRegistry {
  /** `host` or `host:port`, for messages. */
  readonly name: string;
  /** Its own address: where requests to it begin. */
  readonly url: URL;
}

/** What a registry asks for in `WWW-Authenticate`. */
export interface Challenge {
  scheme: 'basic' | 'bearer';
  parameters: Record<string, string>;
}

interface Grant {
  readonly header: Promise<string>;
  /** Infinity while it is on its way, and for what does not expire. */
  expiresMs: number;
}

interface Authorized {
  readonly header: string;
  readonly expiresMs: number;
}

/** Authorizes the requests to one registry. What is granted is kept by what it is for, and renewed in time. */
export class Authorizer {
  readonly #registry: AuthorizedRegistry;
  readonly #http: HttpClient;
  readonly #find: () => Promise<CredentialLookup>;
  #lookup: Promise<CredentialLookup> | undefined;
  /** By scopes: what the registry last asked for. */
  readonly #challenges = new Map<string, Challenge>();
  /** By scopes; also those still on their way, which requests at the same time share. */
  readonly #grants = new Map<string, Grant>();

  /** @param find called once, and only when the registry asks */
  constructor(registry: AuthorizedRegistry, http: HttpClient, find: () => Promise<CredentialLookup>) {
    this.#registry = registry;
    this.#http = http;
    this.#find = find;
  }

  /**
   * The `Authorization` header for a request that needs `scopes`; `undefined` until the registry has asked for
   * one with the same scopes.
   * @throws UnauthorizedError, AuthFileError, RegistryError, UnreachableError
   */
  async header(scopes: readonly string[]): Promise<string | undefined> {
    const challenge = this.#challenges.get(scopes.join(' '));
    return challenge === undefined ? undefined : this.#grant(challenge, scopes);
  }

  /**
   * The header to repeat a request with that the registry answered with 401.
   * @param response its answer, which is discarded
   * @param sent the header that was sent
   * @throws UnauthorizedError, AuthFileError, RegistryError, UnreachableError
   */
  async answer(response: Response, scopes: readonly string[], sent: string | undefined): Promise<string> {
    const challenge = parseChallenge(headerOf(response, 'www-authenticate') ?? '');
    await discard(response);
    if (challenge === undefined) throw await this.refusal(scopes, '');
    const key = scopes.join(' ');
    this.#challenges.set(key, challenge);
    const known = this.#grants.get(key);
    // Another request may have got a new one meanwhile.
    const refused = known !== undefined && (await known.header) === sent;
    if (refused && this.#grants.get(key) === known) this.#grants.delete(key);
    return this.#grant(challenge, scopes);
  }

  /**
   * The error to throw when the registry, or its token server, did not accept what was sent.
   * @param detail its message as ` (message)`, or nothing
   */
  async refusal(scopes: readonly string[], detail: string): Promise<UnauthorizedError> {
    const lookup = await this.#credentials();
    const { name } = this.#registry;
    return new UnauthorizedError(
      `registry ${name} asks for authentication${purpose(scopes)}${detail}, and ${reason(lookup)}: ${advice(scopes, name)}`,
    );
  }

  #credentials(): Promise<CredentialLookup> {
    return (this.#lookup ??= this.#find());
  }

  #grant(challenge: Challenge, scopes: readonly string[]): Promise<string> {
    const key = scopes.join(' ');
    const known = this.#grants.get(key);
    if (known !== undefined && Date.now() < known.expiresMs) return known.header;
    const authorized = this.#authorize(challenge, scopes);
    const grant: Grant = { header: authorized.then(({ header }) => header), expiresMs: Infinity };
    this.#grants.set(key, grant);
    authorized.then(
      ({ expiresMs }) => (grant.expiresMs = expiresMs),
      () => this.#grants.delete(key),
    );
    return grant.header;
  }

  async #authorize(challenge: Challenge, scopes: readonly string[]): Promise<Authorized> {
    if (challenge.scheme === 'bearer') return this.#token(challenge, scopes);
    const { credentials } = await this.#credentials();
    if (credentials === undefined) throw await this.refusal(scopes, '');
    if (credentials.identityToken === undefined) {
      return { header: basicAuthorization(credentials), expiresMs: Infinity };
    }
    throw new UnauthorizedError(
      `registry ${this.#registry.name} asks for a user name and password, and there is only an identity token for it: log in with \`ig login ${this.#registry.name}\``,
    );
  }

  async #token({ parameters }: Challenge, scopes: readonly string[]): Promise<Authorized> {
    const url = this.#realm(parameters);
    const { service, scope } = parameters;
    // To log in is to ask for no resource, whatever the registry proposes.
    const wanted = scopes.length === 0 ? [] : mergeScopes([...(scope ?? '').split(' '), ...scopes]);
    const { credentials } = await this.#credentials();
    const askedMs = Date.now();
    const response =
      credentials?.identityToken === undefined
        ? await this.#askWithPassword(url, service, wanted, credentials)
        : await this.#askWithToken(url, service, wanted, credentials.identityToken);
    await this.#check(response, url, scopes);
    const answer = tokenIn(await readBody(response, MAX_TOKEN_BYTES, url));
    if (answer === undefined) {
      throw new RegistryError(`${url.host} sent no token for registry ${this.#registry.name}`);
    }
    return { header: `Bearer ${answer.token}`, expiresMs: askedMs + answer.lifeS * 1000 * USABLE_PART };
  }

  #askWithPassword(
    realm: URL,
    service: string | undefined,
    scopes: readonly string[],
    credentials: Credentials | undefined,
  ): Promise<Response> {
    const url = new URL(realm);
    if (service !== undefined) url.searchParams.set('service', service);
    for (const scope of scopes) url.searchParams.append('scope', scope);
    const headers: Record<string, string> =
      credentials === undefined ? {} : { authorization: basicAuthorization(credentials) };
    return this.#http.get(url, headers, this.#registry.url);
  }

  /** The identity token is in the body, so that no redirect may be followed with it. */
  #askWithToken(
    url: URL,
    service: string | undefined,
    scopes: readonly string[],
    identityToken: string,
  ): Promise<Response> {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      client_id: CLIENT_ID,
      service: service ?? this.#registry.name,
      scope: scopes.join(' '),
      refresh_token: identityToken,
    });
    return this.#http.send({
      method: 'POST',
      url,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: Buffer.from(form.toString()),
      follow: false,
      sentBy: this.#registry.url,
    });
  }

  #realm({ realm }: Record<string, string>): URL {
    const { name, url: own } = this.#registry;
    if (realm === undefined || realm === '') {
      throw new RegistryError(`registry ${name} asks for a token but does not say from where (no realm)`);
    }
    const url = URL.canParse(realm) ? new URL(realm) : undefined;
    // Only a registry that is itself plain HTTP may have its tokens, and with them the password, go over it.
    const allowed = url?.protocol === 'https:' || (url?.protocol === 'http:' && own.protocol === 'http:');
    if (url === undefined || !allowed || url.username !== '' || url.password !== '') {
      throw new RegistryError(
        `registry ${name} asks for a token from an address not allowed: ${quoted(realm)}`,
      );
    }
    return url;
  }

  async #check(response: Response, url: URL, scopes: readonly string[]): Promise<void> {
    const { statusCode } = response;
    if (statusCode === 200) return;
    const detail = await errorText(response, url);
    // An identity token that is no longer good is answered with 400 (RFC 6749, 5.2).
    const { credentials } = await this.#credentials();
    const refused = [401, 403, ...(credentials?.identityToken === undefined ? [] : [400])];
    if (refused.includes(statusCode)) throw await this.refusal(scopes, detail);
    const later = statusCode === 429 || statusCode >= 500 ? '; try again later' : '';
    throw new RegistryError(
      `the token server ${url.host} of registry ${this.#registry.name} answered ${statusCode}${detail}${later}`,
    );
  }
}

/** The base of a registry's addresses, `…/v2/`. */
export function registryRoot(registry: string, plainHttp: boolean): URL {
  const host = registry === 'docker.io' ? 'registry-1.docker.io' : registry;
  return new URL(`${plainHttp ? 'http' : 'https'}://${host}/v2/`);
}

/**
 * Asks a registry whether it knows who these credentials are of.
 * @returns `false` when it lets everybody in, so that it cannot tell
 * @throws UnauthorizedError when it does not; UnreachableError, TlsError, RegistryError
 */
export async function checkCredentials(
  registry: AuthorizedRegistry,
  http: HttpClient,
  credentials: Credentials,
): Promise<boolean> {
  const { name, url } = registry;
  const authorizer = new Authorizer(registry, http, () => Promise.resolve({ credentials, files: [] }));
  const first = await http.get(url, {});
  const asks = first.statusCode === 401;
  const last = asks
    ? await http.get(url, { authorization: await authorizer.answer(first, [], undefined) })
    : first;
  const detail = await errorText(last, url);
  if (last.statusCode === 200) return asks;
  if (last.statusCode === 401 || last.statusCode === 403) throw await authorizer.refusal([], detail);
  throw new RegistryError(
    `${name} is no registry: it answered ${last.statusCode} for ${url.pathname}${detail}`,
  );
}

/** ` to read a/b` or ` to write to a/b`; nothing when it is about no repository. */
function purpose([scope]: readonly string[]): string {
  if (scope === undefined) return '';
  const repository = scope.slice(scope.indexOf(':') + 1, scope.lastIndexOf(':'));
  return scope.endsWith('push') ? ` to write to ${repository}` : ` to read ${repository}`;
}

function reason({ credentials, source, files, failures = [] }: CredentialLookup): string {
  if (credentials === undefined) {
    const because = failures.length === 0 ? '' : ` (${failures.join('; ')})`;
    return `there are no credentials for it in ${files.join(' and ')}${because}`;
  }
  const what =
    credentials.identityToken === undefined ? `those of user ${credentials.username}` : 'the identity token';
  return `it refused ${what}${source === undefined ? '' : ` from ${source}`}`;
}

function advice([scope]: readonly string[], registry: string): string {
  if (scope === undefined) return 'check the user name and the password';
  const other = scope.endsWith('push') ? 'you may not write there' : 'it has no such image';
  return `${other}, or you need to log in (\`ig login ${registry}\`)`;
}

/** Each resource once, with all the actions asked for. */
function mergeScopes(scopes: readonly string[]): string[] {
  const actions = new Map<string, Set<string>>();
  for (const scope of scopes.filter((text) => text !== '')) {
    const colon = scope.lastIndexOf(':');
    const resource = scope.slice(0, Math.max(colon, 0));
    const known = actions.get(resource) ?? new Set();
    for (const action of scope.slice(colon + 1).split(',')) known.add(action);
    actions.set(resource, known);
  }
  return [...actions].map(([resource, wanted]) =>
    resource === '' ? [...wanted].join(' ') : `${resource}:${[...wanted].join(',')}`,
  );
}

function tokenIn(bytes: Uint8Array): { token: string; lifeS: number } | undefined {
  try {
    const answer = JSON.parse(Buffer.from(bytes).toString('utf8')) as Record<string, unknown>;
    const token = answer['token'] ?? answer['access_token'];
    if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token)) return undefined;
    const lifeS = answer['expires_in'];
    return { token, lifeS: typeof lifeS === 'number' && lifeS > 0 ? lifeS : DEFAULT_TOKEN_S };
  } catch {
    return undefined;
  }
}

/** The value of an `Authorization` header. */
function basicAuthorization({ username, password }: Credentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/** Parses a `WWW-Authenticate` value (RFC 9110, 11.6.1); `undefined` if it offers no scheme known here. */
export function parseChallenge(header: string): Challenge | undefined {
  const text = header.slice(0, MAX_CHALLENGE_LENGTH);
  const start = /(?:^|[\s,])(Bearer|Basic)(?=\s|$)/i.exec(text);
  const scheme = start?.[1]?.toLowerCase();
  if (start === null || (scheme !== 'basic' && scheme !== 'bearer')) return undefined;
  const parameters: Record<string, string> = {};
  for (const match of text.slice(start.index).matchAll(/(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))/g)) {
    const [, name = '', inQuotes, bare = ''] = match;
    parameters[name.toLowerCase()] ??= inQuotes?.replace(/\\(.)/g, '$1') ?? bare;
  }
  return { scheme, parameters };
}
