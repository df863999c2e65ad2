// The table of container engines: a new one is one file and one line here.

import { DockerEngine } from './docker.js';
import type { Engine } from './engine.js';

export interface EngineOptions {
  /** `--docker-socketpath`. */
  dockerSocketPath?: string;
}

const ENGINES: readonly ((options: EngineOptions) => Engine)[] = [
  ({ dockerSocketPath }) =>
    new DockerEngine(dockerSocketPath === undefined ? {} : { socketPath: dockerSocketPath }),
];

/** Every engine this runtime knows, not yet connected. */
export function allEngines(options: EngineOptions): Engine[] {
  return ENGINES.map((make) => make(options));
}
