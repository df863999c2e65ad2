/**
 * HTTP as a registry client needs it: bounded retries, redirects that carry no credentials to other hosts and do
 * not lead to services of this machine, time-outs, and failures named for the user.
 */
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { EnvHttpProxyAgent, request as send } from 'undici';
import type { Dispatcher } from 'undici';
import { guardedLookup, isOwnHost, isPrivateHost } from './addresses.js';
import { trustingContext } from './certificates.js';
import { OciError, RegistryError, TlsError, UnreachableError, errorCode, quoted } from './errors.js';

const MAX_ATTEMPTS = 4;
const MAX_READ_ATTEMPTS = 3;
const FIRST_RETRY_MS = 200;
const MAX_RETRY_AFTER_MS = 10_000;
const MAX_REDIRECTS = 5;
const CONNECT_TIMEOUT_MS = 10_000;
/** No server may take longer over one answer, however steadily it trickles. */
const TOTAL_TIMEOUT_MS = 15 * 60_000;
/** How long a connection's remaining bytes are waited for, to use it again. */
const DISCARD_TIMEOUT_MS = 2000;
const MAX_ERROR_BYTES = 8 * 1024;
/** What a server has to send within the time that it may be silent. */
const MIN_BYTES_PER_TIMEOUT = 1024;
/** Bodies are sent in pieces of this size: undici counts a server's silence from the last piece on. */
const SENT_PIECE_BYTES = 64 * 1024;

/** A proxy's loopback is not ours. */
const NEVER_PROXIED = ['localhost', '127.0.0.1', '[::1]'];

const RESET_CODES = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);
const SILENCE_CODES = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'ETIMEDOUT']);
const TLS_CODE =
  /^(?:CERT_|ERR_TLS_|ERR_SSL_|EPROTO$|DEPTH_ZERO_SELF_SIGNED|SELF_SIGNED_CERT|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA)/;

export interface Response extends Dispatcher.ResponseData {
  /** Longest silence of the server. */
  timeoutMs: number;
}

export type Headers = Readonly<Record<string, string>>;

export interface Request {
  method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  url: URL;
  headers: Headers;
  body?: Uint8Array;
  /** `false` if a second try must not follow one that may have had an effect. */
  repeatable?: boolean;
  /** `false` if a redirect is the caller's, as for a body that is a secret. */
  follow?: boolean;
  /**
   * The server whose answer named `url`. Unless it is itself on this machine or in a private network, it cannot
   * have us ask this machine's own services (loopback and link-local addresses).
   */
  sentBy?: URL;
}

export interface HttpOptions {
  /** Longest silence of a server: before it answers, and between two pieces of an answer. */
  timeoutMs: number;
  /** PEM file of CA certificates to trust beside the usual ones. */
  caFile?: string | undefined;
  /** `false` to take any certificate. */
  verifyTls?: boolean;
}

/** The connections to one registry and where it redirects to, through the proxy that HTTPS_PROXY and such name. */
export class HttpClient {
  readonly #options: HttpOptions;
  #direct: Promise<Dispatcher> | undefined;
  /** For addresses that a server out in the world named. */
  #guarded: Promise<Dispatcher> | undefined;

  constructor(options: HttpOptions) {
    this.#options = options;
  }

  /** `send` for a GET. */
  get(url: URL, headers: Headers, sentBy?: URL): Promise<Response> {
    return this.send({ method: 'GET', url, headers, ...(sentBy === undefined ? {} : { sentBy }) });
  }

  /**
   * Sends a request, follows redirects and tries again where that may help; any other status is the caller's.
   * @throws UnreachableError, TlsError, RegistryError
   */
  async send(request: Request): Promise<Response> {
    let current = request;
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const response = await this.#sendWithRetries(current);
      const location = redirectLocation(response, current);
      if (location === undefined) return response;
      await discard(response);
      const next = allowedTarget(location, current.url);
      current = { ...current, url: next, sentBy: request.sentBy ?? request.url };
      if (next.origin !== request.url.origin) current.headers = withoutCredentials(request.headers);
    }
    const { url } = request;
    throw new RegistryError(`${url.host} redirected ${url.pathname} more than ${MAX_REDIRECTS} times`);
  }

  async close(): Promise<void> {
    for (const agent of [this.#direct, this.#guarded]) {
      // One that could not be made has nothing to close, and whoever needed it knows.
      await agent?.then((made) => made.destroy()).catch(() => undefined);
    }
  }

  async #sendWithRetries(request: Request): Promise<Response> {
    for (let attempt = 1; ; attempt++) {
      let delayMs = backoffMs(attempt);
      try {
        const response = await this.#sendOnce(request);
        if (!mayPass(response, request) || attempt === MAX_ATTEMPTS) return response;
        const askedMs = retryAfterMs(response);
        if (askedMs > MAX_RETRY_AFTER_MS) return response;
        delayMs = Math.max(delayMs, askedMs);
        await discard(response);
      } catch (error) {
        const again = request.repeatable !== false && isReset(error) && attempt < MAX_ATTEMPTS;
        if (!again) throw connectionError(error, request.url.host);
      }
      await sleep(delayMs);
    }
  }

  async #sendOnce({ method, url, headers, body, sentBy }: Request): Promise<Response> {
    const response = await send(url, {
      method,
      headers: isEmpty(body) ? headers : { ...headers, 'content-length': String(body.length) },
      body: isEmpty(body) ? null : Readable.from(piecesOf(body)),
      dispatcher: await this.#dispatcherFor(url, sentBy),
      signal: AbortSignal.timeout(TOTAL_TIMEOUT_MS),
    });
    return Object.assign(response, { timeoutMs: this.#options.timeoutMs });
  }

  #dispatcherFor(url: URL, sentBy: URL | undefined): Promise<Dispatcher> {
    if (sentBy === undefined || sentBy.hostname === url.hostname || isPrivateHost(sentBy.hostname)) {
      return (this.#direct ??= this.#makeAgent({}));
    }
    if (isOwnHost(url.hostname)) throw notAllowed(url.href, sentBy);
    return (this.#guarded ??= this.#makeAgent({ lookup: guardedLookup }));
  }

  async #makeAgent(connect: { lookup?: typeof guardedLookup }): Promise<Dispatcher> {
    const { timeoutMs, caFile, verifyTls: rejectUnauthorized = true } = this.#options;
    const { no_proxy: lower, NO_PROXY: upper } = process.env;
    const ca = caFile === undefined ? {} : { secureContext: await trustingContext(caFile) };
    const tls = { rejectUnauthorized, ...ca };
    return new EnvHttpProxyAgent({
      noProxy: [lower ?? upper ?? '', ...NEVER_PROXIED].join(','),
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      connect: { timeout: Math.min(timeoutMs, CONNECT_TIMEOUT_MS), ...tls, ...connect },
      requestTls: tls,
      proxyTls: tls,
    });
  }
}

function isEmpty(body: Uint8Array | undefined): body is undefined {
  return body === undefined || body.length === 0;
}

function* piecesOf(body: Uint8Array): Generator<Uint8Array, void, undefined> {
  for (let offset = 0; offset < body.length; offset += SENT_PIECE_BYTES) {
    yield body.subarray(offset, offset + SENT_PIECE_BYTES);
  }
}

/** Whether asking again may bring another answer. A server that is asked too often has done nothing yet. */
function mayPass({ statusCode }: Response, { repeatable }: Request): boolean {
  return statusCode === 429 || (statusCode >= 500 && repeatable !== false);
}

function withoutCredentials({ authorization: _dropped, ...others }: Headers): Headers {
  return others;
}

/** Where `response` redirects to. What is sent with a body goes on only where the method stays the same. */
function redirectLocation(response: Response, { method, follow }: Request): string | undefined {
  if (follow === false) return undefined;
  const followed = method === 'GET' || method === 'HEAD' ? [301, 302, 303, 307, 308] : [307, 308];
  return followed.includes(response.statusCode) ? headerOf(response, 'location') : undefined;
}

/**
 * The address that `from` sends us to; not from https to http, which would undo what TLS gave.
 * @throws RegistryError
 */
export function allowedTarget(location: string, from: URL): URL {
  const target = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  const allowed =
    target?.protocol === 'https:' || (target?.protocol === 'http:' && from.protocol === 'http:');
  if (target === undefined || !allowed) throw notAllowed(location, from);
  return target;
}

function notAllowed(location: string, from: URL): RegistryError {
  return new RegistryError(
    `${from.host} redirected ${from.pathname} to an address that is not allowed: ${quoted(location)}`,
  );
}

/** `Retry-After` is a number of seconds or a date (RFC 9110, 10.2.3). */
function retryAfterMs(response: Response): number {
  const text = headerOf(response, 'retry-after') ?? '';
  if (/^[0-9]{1,9}$/.test(text)) return Number(text) * 1000;
  const dateMs = Date.parse(text);
  return Number.isNaN(dateMs) ? 0 : Math.max(0, dateMs - Date.now());
}

/** One header's value, the first if it came several times. */
export function headerOf(response: Response, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** Lets go of an answer whose body does not matter, reading a short one so that the connection stays usable. */
export async function discard(response: Response): Promise<void> {
  const signal = AbortSignal.timeout(DISCARD_TIMEOUT_MS);
  await response.body.dump({ limit: 16 * 1024, signal }).catch(() => undefined);
}

/**
 * The body as it comes.
 * @throws UnreachableError when it comes too slowly, and what `connectionError` returns
 */
export async function* bodyOf(response: Response, url: URL): AsyncGenerator<Uint8Array, void, undefined> {
  const body = (response.body as AsyncIterable<Uint8Array, undefined>)[Symbol.asyncIterator]();
  let waitedMs = 0;
  let sizeBytes = 0;
  try {
    for (;;) {
      const beganMs = performance.now();
      const { done, value } = await body.next();
      if (done === true) return;
      // Only the server's time counts, not the time that whoever reads here takes.
      waitedMs += performance.now() - beganMs;
      sizeBytes += value.length;
      if (waitedMs >= response.timeoutMs) {
        if (sizeBytes < MIN_BYTES_PER_TIMEOUT) throw tooSlow(url, response.timeoutMs);
        waitedMs = sizeBytes = 0;
      }
      yield value;
    }
  } catch (error) {
    throw connectionError(error, url.host);
  } finally {
    response.body.destroy();
  }
}

function tooSlow(url: URL, timeoutMs: number): UnreachableError {
  return new UnreachableError(
    `registry ${url.host} is too slow: it sent less than ${MIN_BYTES_PER_TIMEOUT} bytes in ${timeoutMs / 1000} s; check the network, or try again later`,
  );
}

/**
 * The whole body.
 * @throws RegistryError when it is longer than `maxBytes`, and what `bodyOf` throws
 */
export async function readBody(response: Response, maxBytes: number, url: URL): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of bodyOf(response, url)) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) {
      throw new RegistryError(
        `the answer of ${url.host} for ${url.pathname} is larger than ${maxBytes} bytes`,
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The message of a registry's error document as ` (message)`, or nothing; registries are free to send junk. */
export async function errorText(response: Response, url: URL): Promise<string> {
  try {
    const bytes = await readBody(response, MAX_ERROR_BYTES, url);
    const document = JSON.parse(Buffer.from(bytes).toString('utf8')) as {
      errors?: { message?: unknown }[];
      error_description?: unknown;
      details?: unknown;
    };
    // Of registries; of OAuth servers (RFC 6749, 5.2); of Docker Hub's token server.
    const message = document.errors?.[0]?.message ?? document.error_description ?? document.details;
    return typeof message === 'string' && /^[\x20-\x7e]{1,200}$/.test(message) ? ` (${message})` : '';
  } catch {
    return '';
  }
}

/** Runs `action`, which changes nothing, again when the connection breaks in the middle of an answer. */
export async function repeatedly<T>(action: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await action();
    } catch (error) {
      if (attempt === MAX_READ_ATTEMPTS || !isReset(error)) throw error;
    }
    await sleep(backoffMs(attempt));
  }
}

/** How long to wait before the attempt after `attempt` (from 1): longer each time, and not as others do. */
export function backoffMs(attempt: number): number {
  return FIRST_RETRY_MS * 2 ** (attempt - 1) * (0.5 + Math.random());
}

/** Whether the connection broke in a way that trying again may mend. */
export function isReset(error: unknown): boolean {
  return RESET_CODES.has(deepestCode(error) ?? '');
}

/** Whether the server, or a proxy before it, fell silent. */
export function isSilence(error: unknown): boolean {
  return SILENCE_CODES.has(deepestCode(error) ?? '');
}

/** Says in one sentence why there was no (complete) answer. */
export function connectionError(error: unknown, host: string): Error {
  if (error instanceof OciError) return error;
  const code = deepestCode(error);
  if (code === undefined && (error as Error).name !== 'TimeoutError') return error as Error;
  const reason = (error as Error).message;
  if (code !== undefined && TLS_CODE.test(code)) {
    const advice = /wrong.version.number/i.test(`${code} ${reason}`)
      ? `it does not speak TLS; if plain HTTP is meant, name it in --insecure-registries`
      : `${reason}; give the file of its CA in --ca-file or NODE_EXTRA_CA_CERTS, or name it in --insecure-registries for plain HTTP`;
    return new TlsError(`no trusted TLS connection to registry ${host}: ${advice}`, { cause: error });
  }
  return new UnreachableError(
    `cannot reach registry ${host} (${describeFailure(code, reason)}): check the network and the name`,
    { cause: error },
  );
}

function describeFailure(code: string | undefined, reason: string): string {
  switch (code) {
    case 'ENOTFOUND':
      return 'there is no host of that name';
    case 'EAI_AGAIN':
      return 'its name could not be looked up';
    case 'ECONNREFUSED':
      return 'connection refused';
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
    case 'ETIMEDOUT':
    case undefined:
      return 'no answer in time';
    default:
      return reason === '' ? code : reason;
  }
}

/** The code of the innermost cause: several addresses tried give an AggregateError around the real one. */
function deepestCode(error: unknown): string | undefined {
  let code: string | undefined;
  let current: unknown = error;
  for (let depth = 0; depth < 5 && current instanceof Error; depth++) {
    code = errorCode(current) ?? code;
    current = current instanceof AggregateError ? current.errors[0] : current.cause;
  }
  return code;
}
