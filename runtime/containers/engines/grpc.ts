// gRPC calls over a unix socket, bounded in time and size: what the engines with a gRPC API are asked through.

import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { CallOptions as GrpcCallOptions, Client, Metadata, ServiceError } from '@grpc/grpc-js';
import type { AnyDefinition, PackageDefinition } from '@grpc/proto-loader';
import { EngineAnswerError } from '../errors.js';

type Grpc = typeof import('@grpc/grpc-js');

/** gRPC's code for a thing that does not exist: `EngineAnswerError.status`, as the following. */
export const NOT_FOUND = 5;
/** gRPC's code for a service or method that the server does not have. */
export const UNIMPLEMENTED = 12;

const MAX_ANSWER_BYTES = 32 << 20;
/** How much of an error's text is worth reading. */
const MAX_MESSAGE_CHARS = 300;
const PROTO_ROOT = new URL('./proto/', import.meta.url);

/**
 * What messages look like: names in camelCase (an Any is `{ type_url, value }` all the same), enum values by name,
 * 64-bit numbers as decimal strings (nanoseconds do not fit into a number), bytes as Buffer, and every field
 * present, with the default of its type where the engine left it out (messages: null).
 */
const MESSAGE_SHAPE = { longs: String, enums: String, defaults: true } as const;

/** Definitions to load: a folder of proto/, which their imports are relative to, and files in it. */
export interface Protos {
  readonly folder: 'containerd' | 'cri';
  readonly files: readonly string[];
}

export interface CallOptions {
  /** For the whole exchange. */
  readonly timeoutMs: number;
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface StreamOptions extends Partial<CallOptions> {
  /** Called in order. What it throws ends the stream, and rejects. */
  readonly onMessage: (message: unknown) => void;
  /** Ends the stream without an error. */
  readonly signal?: AbortSignal;
}

/**
 * Resolves when a server answers there that speaks HTTP/2, as gRPC does; rejects with the system's error, or with
 * {@link EngineAnswerError}, at the latest in `timeoutMs`. To be asked before a client is: with a server that accepts
 * and never says anything, grpc-js keeps a socket even when the client is closed.
 */
export async function greet(socketPath: string, timeoutMs: number): Promise<void> {
  const http2 = await import('node:http2');
  const socket = connect(socketPath);
  const session = http2.connect('http://localhost', { createConnection: () => socket });
  const late = new EngineAnswerError(`no answer within ${timeoutMs} ms`);
  const timer = setTimeout(() => session.destroy(late), timeoutMs);
  try {
    await new Promise<void>((resolve, reject) => {
      session.once('remoteSettings', () => resolve());
      session.once('error', reject);
      session.once('close', () => reject(new EngineAnswerError('it hung up')));
    });
  } finally {
    clearTimeout(timer);
    session.on('error', () => {});
    session.destroy();
    socket.destroy();
  }
}

interface Opened {
  readonly grpc: Grpc;
  readonly client: Client;
  readonly definitions: PackageDefinition;
}

/**
 * The services of one unix socket. Nothing is loaded or connected before the first call; after {@link close}, the
 * next call connects anew. Answers are as the engine sent them: read them with json.ts.
 */
export class GrpcClient {
  readonly #socketPath: string;
  readonly #protos: Protos;
  #opened: Promise<Opened> | undefined;

  constructor(socketPath: string, protos: Protos) {
    this.#socketPath = socketPath;
    this.#protos = protos;
  }

  /** Calls `package.Service/Method`. Rejects with {@link EngineAnswerError}. */
  async call(method: string, request: object, options: CallOptions): Promise<unknown> {
    const opened = await this.#open();
    const { path, requestSerialize, responseDeserialize } = methodOf(opened.definitions, method);
    return new Promise((resolve, reject) => {
      opened.client.makeUnaryRequest<object, object>(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadataOf(opened.grpc, options),
        callOptionsOf(options),
        (error, answer) => {
          if (error === null) resolve(answer);
          else reject(answerError(opened.grpc, method, error, options.timeoutMs));
        },
      );
    });
  }

  /**
   * Calls `package.Service/Method`, which answers with a stream of messages. Resolves when the engine ends it or the
   * signal aborts; rejects with {@link EngineAnswerError} when it breaks.
   */
  async stream(method: string, request: object, options: StreamOptions): Promise<void> {
    const { signal, onMessage } = options;
    const opened = await this.#open();
    if (signal?.aborted) return;
    const { path, requestSerialize, responseDeserialize } = methodOf(opened.definitions, method);
    const stream = opened.client.makeServerStreamRequest<object, object>(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      metadataOf(opened.grpc, options),
      callOptionsOf(options),
    );
    const cancel = (): void => stream.cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      await new Promise<void>((resolve, reject) => {
        stream.on('end', resolve);
        stream.on('error', (error: ServiceError) => {
          if (signal?.aborted) resolve();
          else reject(answerError(opened.grpc, method, error, options.timeoutMs));
        });
        stream.on('data', (message: unknown) => {
          try {
            onMessage(message);
          } catch (error) {
            reject(error instanceof Error ? error : new Error(String(error)));
            stream.cancel();
          }
        });
      });
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  /** A function that decodes what an Any holds: a message's full name and its bytes. It throws EngineAnswerError. */
  async decoder(): Promise<(type: string, bytes: Uint8Array) => unknown> {
    const { definitions } = await this.#open();
    return (type, bytes) => {
      const definition = own(definitions, type);
      if (definition === undefined || !isMessage(definition)) throw new Error(`no message type ${type}`);
      try {
        return definition.deserialize(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
      } catch (cause) {
        throw new EngineAnswerError(`a ${type} that cannot be decoded`, { cause });
      }
    };
  }

  close(): void {
    this.#opened?.then(
      ({ client }) => client.close(),
      () => {},
    );
    this.#opened = undefined;
  }

  #open(): Promise<Opened> {
    return (this.#opened ??= open(this.#socketPath, this.#protos));
  }
}

async function open(socketPath: string, protos: Protos): Promise<Opened> {
  const [grpc, definitions] = await Promise.all([import('@grpc/grpc-js'), definitionsOf(protos)]);
  const client = new grpc.Client(`unix:${socketPath}`, grpc.credentials.createInsecure(), {
    'grpc.max_receive_message_length': MAX_ANSWER_BYTES,
    // Connections shared between clients would share the pauses after failed attempts, too; follow.ts makes its own.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_http_proxy': 0,
  });
  return { grpc, client, definitions };
}

/** What has been loaded: an engine that comes back is spoken to as before. */
const LOADED = new WeakMap<Protos, Promise<PackageDefinition>>();

function definitionsOf(protos: Protos): Promise<PackageDefinition> {
  let loading = LOADED.get(protos);
  if (loading === undefined) {
    const includeDirs = [fileURLToPath(new URL(`${protos.folder}/`, PROTO_ROOT))];
    loading = import('@grpc/proto-loader').then(({ load }) =>
      load([...protos.files], { ...MESSAGE_SHAPE, includeDirs }),
    );
    LOADED.set(protos, loading);
  }
  return loading;
}

function methodOf(definitions: PackageDefinition, method: string): Method {
  const [service = '', name = ''] = method.split('/');
  const methods = own(definitions, service);
  const found = methods === undefined || isMessage(methods) ? undefined : own(methods, name);
  if (found === undefined) throw new Error(`no method ${method} in the definitions that were loaded`);
  return found as Method;
}

interface Method {
  readonly path: string;
  readonly requestSerialize: (message: object) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => object;
}

interface MessageType {
  readonly deserialize: (bytes: Buffer) => unknown;
}

function isMessage(definition: AnyDefinition): definition is AnyDefinition & MessageType {
  return typeof (definition as { deserialize?: unknown }).deserialize === 'function';
}

function own<T extends object, V = T[keyof T]>(object: T, key: string): V | undefined {
  return Object.hasOwn(object, key) ? (object[key as keyof T] as V) : undefined;
}

function metadataOf(grpc: Grpc, { metadata = {} }: Partial<CallOptions>): Metadata {
  const made = new grpc.Metadata();
  for (const [name, value] of Object.entries(metadata)) made.set(name, value);
  return made;
}

function callOptionsOf({ timeoutMs }: Partial<CallOptions>): GrpcCallOptions {
  return timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
}

function answerError(
  grpc: Grpc,
  method: string,
  error: ServiceError,
  timeoutMs: number | undefined,
): EngineAnswerError {
  const name = method.slice(method.lastIndexOf('.', method.indexOf('/')) + 1);
  const { code } = error;
  if (code === grpc.status.DEADLINE_EXCEEDED && timeoutMs !== undefined) {
    return new EngineAnswerError(`no answer to ${name} within ${timeoutMs} ms`, {
      status: code,
      cause: error,
    });
  }
  const said = error.details.replace(/\s+/g, ' ').trim().slice(0, MAX_MESSAGE_CHARS);
  const status = grpc.status[code] ?? String(code);
  return new EngineAnswerError(`${name} answered ${status}${said === '' ? '' : `: ${said}`}`, {
    status: code,
    cause: error,
  });
}
