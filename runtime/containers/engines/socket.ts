// Where an engine listens, and why it cannot be reached there.

import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import type { RuntimeName } from '../container.js';
import { EngineUnavailableError, reasonOf } from '../errors.js';

export interface EngineSocket {
  readonly engine: RuntimeName;
  readonly path: string;
  /** Not named by the user: nobody expects that it is there. */
  readonly isDefault: boolean;
}

/** The socket the user named (`unix://` in front is left out), or the first of the usual ones that exists. */
export function engineSocket(
  engine: RuntimeName,
  given: string | undefined,
  usual: readonly [string, ...string[]],
): EngineSocket {
  const path = given?.replace(/^unix:\/\//, '') ?? usual.find((place) => existsSync(place)) ?? usual[0];
  return { engine, path, isDefault: given === undefined };
}

/** Resolves when somebody accepts a connection there; rejects with the system's error, at the latest in `timeoutMs`. */
export function probe({ path }: EngineSocket, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve();
    });
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`nobody accepts within ${timeoutMs} ms`)));
    socket.on('error', reject);
  });
}

/** The error for an engine that cannot be asked, in one sentence. */
export function unreachable(
  { engine, path, isDefault }: EngineSocket,
  cause: unknown,
): EngineUnavailableError {
  const code = (cause as NodeJS.ErrnoException).code;
  const why = typeof code === 'string' ? (REASONS[code] ?? reasonOf(cause)) : reasonOf(cause);
  return new EngineUnavailableError(`Cannot reach ${engine} at ${path}: ${why}.`, {
    missing: code === 'ENOENT' && isDefault,
    cause,
  });
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket',
  ENOTSOCK: 'that is no socket',
  ECONNREFUSED: 'nobody listens there',
  EACCES: 'permission is denied',
  EPERM: 'permission is denied',
};
