/** A registry on loopback that answers as a test says, however wrong: what it is not told, it answers properly. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { MEDIA_TYPE, digestOf } from '../../oci/descriptor.js';
import type { Descriptor } from '../../oci/descriptor.js';
import { temporaryDirectory } from './images.js';

/** Writes the answer to one request; one that fails because the client has gone is over. */
export type Answer = (response: ServerResponse, request: IncomingMessage) => void | Promise<void>;

export class HostileRegistry {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** The certificate to trust, if it speaks TLS. */
  readonly caFile: string | undefined;
  /** `METHOD PATH` of every request so far. */
  readonly requests: string[] = [];
  readonly #answers = new Map<string, Answer>();

  /** Starts it; it ends with the present test. */
  static async start(kind: { tls?: boolean } = {}): Promise<HostileRegistry> {
    const tls = kind.tls === true ? makeCertificate() : undefined;
    const server = tls === undefined ? createServer() : createTlsServer(tls);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });
    return new HostileRegistry(server, tls?.file);
  }

  private constructor(server: Server, caFile: string | undefined) {
    this.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.caFile = caFile;
    server.on('request', (request, response) => void this.#answer(request, response));
    // Clients that give up are what the tests want.
    server.on('clientError', (_error, socket) => socket.destroy());
  }

  /** Answers requests whose path ends in `suffix`: `manifests/v1`, a digest. */
  on(suffix: string, answer: Answer): this {
    this.#answers.set(suffix, answer);
    return this;
  }

  /** Holds content under its digest, and under `tag` if it is named. */
  hold(mediaType: string, content: Uint8Array | string | object, tag?: string): Descriptor {
    const bytes = bytesOf(content);
    const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
    for (const suffix of [descriptor.digest, ...(tag === undefined ? [] : [`manifests/${tag}`])]) {
      this.on(suffix, send(bytes, { 'content-type': mediaType }));
    }
    return descriptor;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '';
    this.requests.push(`${request.method} ${path}`);
    response.on('error', () => undefined);
    const [, answer = notFound] = [...this.#answers].find(([suffix]) => path.endsWith(suffix)) ?? [];
    try {
      await answer(response, request);
    } catch {
      response.destroy();
    }
  }
}

/** `content` as a body: bytes as they are, objects as JSON. */
export function bytesOf(content: Uint8Array | string | object): Buffer {
  if (content instanceof Uint8Array) return Buffer.from(content);
  return Buffer.from(typeof content === 'string' ? content : JSON.stringify(content));
}

/** Sends one body, truthfully unless `headers` lie. */
export function send(
  content: Uint8Array | string | object,
  headers: Readonly<Record<string, string | number>> = {},
  status = 200,
): Answer {
  const bytes = bytesOf(content);
  return (response) => {
    response.writeHead(status, { 'content-length': bytes.length, ...headers }).end(bytes);
  };
}

/** Sends `chunk` again and again, every `pauseMs`, until the client has had enough. */
export function sendForever(
  chunk: Uint8Array | string,
  headers: Readonly<Record<string, string | number>> = {},
  pauseMs = 0,
): Answer {
  return async (response) => {
    response.writeHead(200, headers);
    while (!response.destroyed) {
      const drained = response.write(chunk);
      await new Promise((resolve) => {
        if (pauseMs > 0 || drained) setTimeout(resolve, pauseMs);
        else response.once('drain', resolve).once('close', resolve);
      });
    }
  };
}

export function redirect(location: string): Answer {
  return (response) => {
    response.writeHead(307, { location }).end();
  };
}

/** Breaks the connection after `bytes` of an answer that promised more; at once if there are none. */
export function breakAfter(
  bytes: Uint8Array | undefined,
  headers: Readonly<Record<string, string | number>> = {},
): Answer {
  return (response) => {
    if (bytes === undefined) {
      response.destroy();
      return;
    }
    response.writeHead(200, { 'content-length': bytes.length + 1000, ...headers });
    response.write(bytes, () => response.destroy());
  };
}

const notFound = send({ errors: [{ code: 'NAME_UNKNOWN', message: 'no such thing' }] }, {}, 404);

/** A gadget image for both architectures, held by `registry` under the tag v1; its parts, to be spoilt. */
export interface HeldImage {
  readonly index: Descriptor;
  readonly manifest: Descriptor;
  readonly config: Descriptor;
  readonly ebpf: Descriptor;
  readonly ebpfBytes: Buffer;
}

export function holdImage(registry: HostileRegistry): HeldImage {
  const config = registry.hold(MEDIA_TYPE.gadgetConfig, 'name: trace_sample\n');
  const ebpfBytes = Buffer.from('\x7fELF sample'.padEnd(5000, '.'));
  const ebpf = registry.hold(MEDIA_TYPE.ebpf, ebpfBytes);
  const manifest = registry.hold(MEDIA_TYPE.manifest, manifestOf(config, [ebpf]));
  const index = registry.hold(MEDIA_TYPE.index, indexOf([manifest]), 'v1');
  return { index, manifest, config, ebpf, ebpfBytes };
}

export function manifestOf(config: unknown, layers: unknown, changes: object = {}): object {
  const artifactType = MEDIA_TYPE.gadget;
  return { schemaVersion: 2, mediaType: MEDIA_TYPE.manifest, artifactType, config, layers, ...changes };
}

/** Every manifest of it is for every architecture the tests run on. */
export function indexOf(manifests: readonly Descriptor[], changes: object = {}): object {
  const all = manifests.flatMap((manifest) =>
    ['amd64', 'arm64'].map((architecture) => ({ ...manifest, platform: { os: 'linux', architecture } })),
  );
  return { schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests: all, ...changes };
}

function makeCertificate(): { file: string; cert: Buffer; key: Buffer } {
  const directory = temporaryDirectory();
  const [file, key] = [join(directory, 'ca.crt'), join(directory, 'tls.key')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const files = ['-keyout', key, '-out', file];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
      ...files,
    ].concat(subject),
    { stdio: 'ignore' },
  );
  return { file, cert: readFileSync(file), key: readFileSync(key) };
}
