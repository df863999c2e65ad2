/** An HTTP server on loopback that answers as a test says, for what no real registry does on demand. */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

/** @param count of this request, from 1 */
export type Handler = (request: IncomingMessage, response: ServerResponse, count: number) => void;

export interface RunningServer {
  /** `127.0.0.1:PORT`. */
  host: string;
  /** What came in so far. */
  requests: IncomingMessage[];
}

/** Starts it; it ends with the present test. */
export async function serve(handler: Handler): Promise<RunningServer> {
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

/** The body of a request. */
export async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
