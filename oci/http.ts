/**
 * GET requests as a registry client needs them: bounded retries, redirects that do not carry credentials to
 * other hosts, time-outs, and failures named for the user.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { EnvHttpProxyAgent, request } from 'undici';
import type { Dispatcher } from 'undici';
import { RegistryError, TlsError, UnreachableError, errorCode } from './errors.js';

const MAX_ATTEMPTS = 4;
const FIRST_RETRY_MS = 200;
const MAX_RETRY_AFTER_MS = 10_000;
const MAX_REDIRECTS = 5;
const MAX_ERROR_BYTES = 8 * 1024;
const CONNECT_TIMEOUT_MS = 10_000;
/** No server may take longer over one answer, however steadily it trickles. */
const TOTAL_TIMEOUT_MS = 15 * 60_000;

/** A proxy's loopback is not ours. */
const NEVER_PROXIED = ['localhost', '127.0.0.1', '[::1]'];

const RESET_CODES = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);
const TLS_CODE =
  /^(?:CERT_|ERR_TLS_|ERR_SSL_|EPROTO$|DEPTH_ZERO_SELF_SIGNED|SELF_SIGNED_CERT|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA)/;

export type Response = Dispatcher.ResponseData;

/** The connections to one registry and where it redirects to, through the proxy that HTTPS_PROXY and such name. */
export class HttpClient {
  readonly #agent: EnvHttpProxyAgent;

  /** @param timeoutMs longest silence of a server: before it answers, and between two pieces of an answer */
  constructor(timeoutMs: number) {
    const { no_proxy: lower, NO_PROXY: upper } = process.env;
    this.#agent = new EnvHttpProxyAgent({
      noProxy: [lower ?? upper ?? '', ...NEVER_PROXIED].join(','),
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      connect: { timeout: Math.min(timeoutMs, CONNECT_TIMEOUT_MS) },
    });
  }

  /**
   * GETs `url`, following redirects and trying again where that may help; any other status is the caller's.
   * @throws UnreachableError, TlsError, RegistryError
   */
  async get(url: URL, headers: Readonly<Record<string, string>>): Promise<Response> {
    let target = url;
    let sent = headers;
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const response = await this.#getWithRetries(target, sent);
      const next = redirectTarget(response, target);
      if (next === undefined) return response;
      await discard(response);
      if (next.origin !== target.origin) {
        const { authorization: _dropped, ...others } = sent;
        sent = others;
      }
      target = next;
    }
    throw new RegistryError(`${url.host} redirected ${url.pathname} more than ${MAX_REDIRECTS} times`);
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #getWithRetries(url: URL, headers: Readonly<Record<string, string>>): Promise<Response> {
    for (let attempt = 1; ; attempt++) {
      let delayMs = FIRST_RETRY_MS * 2 ** (attempt - 1);
      try {
        const signal = AbortSignal.timeout(TOTAL_TIMEOUT_MS);
        const response = await request(url, { headers, dispatcher: this.#agent, signal });
        const mayPass = response.statusCode === 429 || response.statusCode >= 500;
        if (!mayPass || attempt === MAX_ATTEMPTS) return response;
        const askedMs = retryAfterMs(response);
        if (askedMs > MAX_RETRY_AFTER_MS) return response;
        delayMs = Math.max(delayMs, askedMs);
        await discard(response);
      } catch (error) {
        if (!isReset(error) || attempt === MAX_ATTEMPTS) throw connectionError(error, url.host);
      }
      await sleep(delayMs);
    }
  }
}

/** Where `response` redirects to; not from https to http, which would undo what TLS gave. */
function redirectTarget(response: Response, from: URL): URL | undefined {
  const location = headerOf(response, 'location');
  if (![301, 302, 303, 307, 308].includes(response.statusCode) || location === undefined) return undefined;
  const target = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  const allowed =
    target?.protocol === 'https:' || (target?.protocol === 'http:' && from.protocol === 'http:');
  if (target === undefined || !allowed) {
    throw new RegistryError(
      `${from.host} redirected ${from.pathname} to an address that is not allowed: ${location}`,
    );
  }
  return target;
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
  await response.body.dump({ limit: 16 * 1024 }).catch(() => undefined);
}

/**
 * The whole body.
 * @throws RegistryError when it is longer than `maxBytes`, and what `connectionError` returns
 */
export async function readBody(response: Response, maxBytes: number, url: URL): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      sizeBytes += chunk.length;
      if (sizeBytes > maxBytes) break;
      chunks.push(chunk);
    }
  } catch (error) {
    throw connectionError(error, url.host);
  }
  if (sizeBytes <= maxBytes) return Buffer.concat(chunks);
  throw new RegistryError(`the answer of ${url.host} for ${url.pathname} is larger than ${maxBytes} bytes`);
}

/** The message of a registry's error document as ` (message)`, or nothing; registries are free to send junk. */
export async function errorText(response: Response, url: URL): Promise<string> {
  try {
    const bytes = await readBody(response, MAX_ERROR_BYTES, url);
    const document = JSON.parse(Buffer.from(bytes).toString('utf8')) as { errors?: { message?: unknown }[] };
    const message = document.errors?.[0]?.message;
    return typeof message === 'string' && /^[\x20-\x7e]{1,200}$/.test(message) ? ` (${message})` : '';
  } catch {
    return '';
  }
}

/** Whether the connection broke in a way that trying again may mend. */
export function isReset(error: unknown): boolean {
  return RESET_CODES.has(deepestCode(error) ?? '');
}

/** Says in one sentence why there was no (complete) answer. */
export function connectionError(error: unknown, host: string): Error {
  const code = deepestCode(error);
  if (code === undefined && (error as Error).name !== 'TimeoutError') return error as Error;
  const reason = (error as Error).message;
  if (code !== undefined && TLS_CODE.test(code)) {
    const advice = /wrong.version.number/i.test(`${code} ${reason}`)
      ? `it does not speak TLS; if plain HTTP is meant, name it in --insecure-registries`
      : `${reason}; give the file of its CA in NODE_EXTRA_CA_CERTS, or name it in --insecure-registries for plain HTTP`;
    return new TlsError(`no trusted TLS connection to registry ${host}: ${advice}`, { cause: error });
  }
  return new UnreachableError(
    `cannot reach registry ${host} (${describeFailure(code, reason)}): check the network, or pull the image elsewhere and run it from a file`,
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
