// Where an engine listens, and why it cannot be reached there.

import { existsSync } from 'node:fs';
import type { RuntimeName } from '../container.js';
import { EngineUnavailableError, reasonOf } from '../errors.js';

export interface EngineSocket {
  readonly engine: RuntimeName;
  readonly path: string;
  /** Not named by the user: nobody expects that it is there. */
  readonly isDefault: boolean;
}

const DEFAULT_SOCKETS: Readonly<Record<RuntimeName, readonly [string, ...string[]]>> = {
  docker: ['/run/docker.sock', '/var/run/docker.sock'],
  // Of a machine's own containerd, of k3s and RKE2, of MicroK8s, of k0s.
  containerd: [
    '/run/containerd/containerd.sock',
    '/run/k3s/containerd/containerd.sock',
    '/var/snap/microk8s/common/run/containerd.sock',
    '/run/k0s/containerd.sock',
  ],
  'cri-o': ['/run/crio/crio.sock', '/var/run/crio/crio.sock'],
  podman: ['/run/podman/podman.sock', '/var/run/podman/podman.sock'],
};

/** The socket the user named (`unix://` in front is left out), or the first of the usual ones that exists. */
export function engineSocket(engine: RuntimeName, given: string | undefined): EngineSocket {
  const usual = DEFAULT_SOCKETS[engine];
  const path = given?.replace(/^unix:\/\//, '') ?? usual.find((place) => existsSync(place)) ?? usual[0];
  return { engine, path, isDefault: given === undefined };
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
  HPE_INVALID_CONSTANT: 'something else listens there, as it does not speak HTTP',
  ERR_HTTP2_ERROR: 'something else listens there, as it does not speak gRPC',
};
