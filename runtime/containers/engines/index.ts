// The table of container engines: a new one is one file and one line here.

import { RUNTIMES, type RuntimeName } from '../container.js';
import { ContainerdEngine } from './containerd.js';
import { CriEngine } from './cri.js';
import { DockerEngine } from './docker.js';
import type { Engine } from './engine.js';
import { PodmanEngine } from './podman.js';

export interface EngineOptions {
  /** `-r/--runtimes`; all when left out. */
  readonly runtimes?: readonly RuntimeName[];
  /** `--docker-socketpath` and its like; the usual places when left out. */
  readonly dockerSocketPath?: string;
  readonly containerdSocketPath?: string;
  readonly crioSocketPath?: string;
  readonly podmanSocketPath?: string;
  /** `--containerd-namespace`: the only one to look into; all but docker's own when left out. */
  readonly containerdNamespace?: string;
  /** `--runtime-protocol`: `cri` asks containerd by the Kubernetes protocol instead of its own. */
  readonly runtimeProtocol?: 'internal' | 'cri';
}

const ENGINES: Readonly<Record<RuntimeName, ((options: EngineOptions) => Engine) | undefined>> = {
  docker: ({ dockerSocketPath }) => new DockerEngine({ socketPath: dockerSocketPath }),
  containerd: ({ containerdSocketPath: socketPath, containerdNamespace: namespace, runtimeProtocol }) =>
    runtimeProtocol === 'cri'
      ? new CriEngine({ name: 'containerd', socketPath })
      : new ContainerdEngine({ socketPath, namespace }),
  'cri-o': ({ crioSocketPath }) => new CriEngine({ name: 'cri-o', socketPath: crioSocketPath }),
  podman: ({ podmanSocketPath }) => new PodmanEngine({ socketPath: podmanSocketPath }),
};

/** The engines asked for, not yet connected. */
export function enginesFor(options: EngineOptions): Engine[] {
  const names = options.runtimes ?? RUNTIMES;
  return names.map((name) => ENGINES[name]?.(options)).filter((engine) => engine !== undefined);
}
