// What every container engine has to answer, and the events it sends.

import type { RuntimeName } from './container.js';

/** An engine's knowledge of one container. */
export interface EngineContainer {
  readonly id: string;
  readonly name: string;
  /** Its first process, as the host numbers it; 0 while it does not run. */
  readonly pid: number;
  readonly imageName: string;
  readonly imageDigest: string;
  readonly imageId: string;
  readonly startedAt: string;
}

export type EngineEvent =
  /** The stream of events is open: nothing that happens from now on is missed. */
  | { readonly kind: 'open' }
  /** Id and name are known (created or renamed); it may not run yet. */
  | { readonly kind: 'created'; readonly id: string; readonly name: string; readonly imageName: string }
  | { readonly kind: 'started'; readonly id: string }
  /** Its first process ended; it may be started again. */
  | { readonly kind: 'removed'; readonly id: string }
  /** The engine knows it no more. */
  | { readonly kind: 'deleted'; readonly id: string };

export interface Engine {
  readonly name: RuntimeName;
  /** Where it listens: a socket path. */
  readonly address: string;
  /** Checks that it answers. Throws {@link EngineUnavailableError}, at the latest after a second. */
  connect(): Promise<void>;
  /** Every container, running or not. Rejects with an error of errors.ts, as the following. */
  list(): Promise<EngineContainer[]>;
  /** Undefined when the engine knows no such container. */
  inspect(id: string): Promise<EngineContainer | undefined>;
  /** Sends events until `signal` aborts, then resolves; rejects when the engine's stream ends or breaks. */
  watch(onEvent: (event: EngineEvent) => void, signal: AbortSignal): Promise<void>;
}
