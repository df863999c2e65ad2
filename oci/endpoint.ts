/** One repository at one server, be it the registry itself or a mirror of it: authorized requests and their errors. */
import { Authorizer, repositoryScope } from './authorizer.js';
import type { CredentialLookup } from './auth.js';
import { NotFoundError, RegistryError, UnauthorizedError } from './errors.js';
import type { OciError } from './errors.js';
import { allowedTarget, errorText, headerOf } from './http.js';
import type { Headers, HttpClient, Request, Response } from './http.js';

export interface EndpointRequest {
  /** GET unless given. */
  method?: Request['method'];
  /** Relative to the repository (`blobs/sha256:…`), or an address that the server named. */
  to: string | URL;
  headers?: Headers;
  body?: Uint8Array;
  repeatable?: boolean;
  /** What the request needs to be allowed, `pull` unless given. */
  actions?: 'pull' | 'pull,push';
  /** Another repository of this server that it reads from. */
  from?: string;
}

export interface EndpointOptions {
  /** `…/v2/` of the server; with a path, such as that of a proxy cache, for a mirror. */
  root: URL;
  /** How credentials and messages name the server. */
  name: string;
  repository: string;
  http: HttpClient;
  /** Called once, and only when the server asks. */
  findCredentials: () => Promise<CredentialLookup>;
}

export class Endpoint {
  readonly name: string;
  readonly repository: string;
  readonly base: URL;
  readonly #http: HttpClient;
  readonly #authorizer: Authorizer;

  constructor({ root, name, repository, http, findCredentials }: EndpointOptions) {
    this.name = name;
    this.repository = repository;
    this.base = new URL(`${repository}/`, root);
    this.#http = http;
    this.#authorizer = new Authorizer({ name, url: root }, http, findCredentials);
  }

  /** The address of `to` of a request. */
  url(to: string | URL): URL {
    return new URL(to, this.base);
  }

  /**
   * Sends a request with what authorization is known, and once more with what the server then asks for. Any
   * status but 401 is the caller's.
   * @throws UnauthorizedError, AuthFileError, UnreachableError, TlsError, RegistryError
   */
  async send({
    method = 'GET',
    to,
    headers = {},
    actions = 'pull',
    from,
    ...rest
  }: EndpointRequest): Promise<Response> {
    const url = this.url(to);
    const request = { method, url, ...rest, sentBy: this.base };
    // Nobody else gets our credentials, even if the registry keeps its uploads there.
    if (url.origin !== this.base.origin) return this.#http.send({ ...request, headers });
    const scopes = [repositoryScope(this.repository, actions)];
    if (from !== undefined) scopes.push(repositoryScope(from, 'pull'));
    const send = (authorization: string | undefined): Promise<Response> =>
      this.#http.send({
        ...request,
        headers: authorization === undefined ? headers : { ...headers, authorization },
      });
    const known = await this.#authorizer.header(scopes);
    const response = await send(known);
    if (response.statusCode !== 401) return response;
    const repeated = await send(await this.#authorizer.answer(response, scopes, known));
    if (repeated.statusCode !== 401 && repeated.statusCode !== 403) return repeated;
    throw await this.#authorizer.refusal(scopes, await errorText(repeated, url));
  }

  /**
   * Sends a request and throws for any status that is not one of `statuses`.
   * @param what is asked for, in errors
   * @throws NotFoundError, and what `send` throws
   */
  async expect(request: EndpointRequest, what: string, statuses: readonly number[]): Promise<Response> {
    const response = await this.send(request);
    if (statuses.includes(response.statusCode)) return response;
    throw await this.failure(response, request.to, what);
  }

  /** The error for an answer that is not the one wanted; its body is read. */
  async failure(response: Response, to: string | URL, what: string): Promise<OciError> {
    const { statusCode } = response;
    const detail = await errorText(response, this.url(to));
    if (statusCode === 404) return new NotFoundError(`no such ${what}${detail}`);
    if (statusCode === 401 || statusCode === 403) {
      return new UnauthorizedError(`registry ${this.name} denies access to ${this.repository}${detail}`);
    }
    const advice = statusCode === 429 || statusCode >= 500 ? '; try again later' : '';
    return new RegistryError(`registry ${this.name} answered ${statusCode} for ${what}${detail}${advice}`);
  }

  /**
   * The address in an answer's `Location`.
   * @throws RegistryError if there is none, or it is not allowed
   */
  location(response: Response, to: string | URL): URL {
    const location = headerOf(response, 'location');
    const url = this.url(to);
    if (location === undefined) {
      throw new RegistryError(`registry ${this.name} does not say where to go on from ${url.pathname}`);
    }
    return allowedTarget(location, url);
  }
}
