// HTTP requests over a unix socket, bounded in time and size: what the engines with an HTTP API are asked through.

import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http';
import { EngineAnswerError } from '../errors.js';

/** HTTP's status for a thing that does not exist: `EngineAnswerError.status`. */
export const NOT_FOUND = 404;

const MAX_ANSWER_BYTES = 32 << 20;
const MAX_LINE_BYTES = 1 << 20;
/** How much of an error's body is worth reading. */
const MAX_MESSAGE_CHARS = 300;

export interface LineStream {
  /** The answer has begun: status 200 arrived. */
  onOpen(): void;
  onLine(line: string): void;
}

/** The HTTP API behind one unix socket. */
export class HttpClient {
  readonly #socketPath: string;
  readonly #agent = new Agent();

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** The answer to `GET path`, parsed. Rejects with {@link EngineAnswerError}, or the socket's own error. */
  getJson(path: string, timeoutMs: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      // The limit is for the whole exchange, as an engine may hang at any point of it.
      const signal = AbortSignal.timeout(timeoutMs);
      const fail = (error: Error): void => {
        reject(
          signal.aborted
            ? new EngineAnswerError(`no answer to GET ${path} within ${timeoutMs} ms`, { cause: error })
            : error,
        );
      };
      const get = this.#request(path, signal);
      get.on('error', fail);
      get.on('response', (response) => {
        readAll(response).then((body) => {
          try {
            resolve(parseAnswer(path, response.statusCode ?? 0, body));
          } catch (error) {
            fail(error as Error);
          }
        }, fail);
      });
      get.end();
    });
  }

  /**
   * Reads the endless answer to `GET path` line by line. Resolves when `signal` aborts; rejects when there is no
   * answer within `timeoutMs`, when a line is longer than 1 MiB, and when the stream ends.
   */
  streamLines(path: string, timeoutMs: number, stream: LineStream, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error: Error): void => {
        clearTimeout(timer);
        if (signal.aborted) resolve();
        else reject(error);
      };
      const get = this.#request(path, signal);
      const timer = setTimeout(() => {
        get.destroy(new EngineAnswerError(`no answer to GET ${path} within ${timeoutMs} ms`));
      }, timeoutMs);
      get.on('error', settle);
      get.on('response', (response) => {
        clearTimeout(timer);
        if (response.statusCode !== 200) {
          const status = response.statusCode ?? 0;
          get.destroy(new EngineAnswerError(`GET ${path} answered ${status}`, { status }));
          return;
        }
        stream.onOpen();
        readLines(response, (line) => stream.onLine(line)).then(
          () => settle(new EngineAnswerError('the stream of events ended')),
          settle,
        );
      });
      get.end();
    });
  }

  /** Breaks off what is being asked; the next request connects anew. */
  close(): void {
    this.#agent.destroy();
  }

  #request(path: string, signal: AbortSignal): ClientRequest {
    const [socketPath, agent] = [this.#socketPath, this.#agent];
    return request({ socketPath, path, agent, signal, headers: { Host: 'engine' } });
  }
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) {
      // Leaving the loop destroys the response and its socket.
      throw new EngineAnswerError(`an answer larger than ${MAX_ANSWER_BYTES >> 20} MiB`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseAnswer(path: string, status: number, body: string): unknown {
  if (status !== 200) {
    const said = messageIn(body).slice(0, MAX_MESSAGE_CHARS);
    throw new EngineAnswerError(`GET ${path} answered ${status}${said === '' ? '' : `: ${said}`}`, {
      status,
    });
  }
  try {
    return JSON.parse(body) as unknown;
  } catch (cause) {
    throw new EngineAnswerError(`GET ${path} answered something that is not JSON`, { status, cause });
  }
}

/** The `message` of an engine's error body, or the body itself. */
function messageIn(body: string): string {
  try {
    const parsed = JSON.parse(body) as { message?: unknown } | null;
    if (typeof parsed?.message === 'string') return parsed.message.trim();
  } catch {
    // Plain text, then.
  }
  return body.trim();
}

async function readLines(response: IncomingMessage, onLine: (line: string) => void): Promise<void> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of response as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10, start)) {
      if (end > start) onLine(rest.toString('utf8', start, end));
      start = end + 1;
    }
    rest = rest.subarray(start);
    if (rest.length > MAX_LINE_BYTES) {
      throw new EngineAnswerError(`an event larger than ${MAX_LINE_BYTES >> 20} MiB`);
    }
  }
}
