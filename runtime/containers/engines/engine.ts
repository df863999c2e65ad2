// What every container engine has to answer, and the events it sends.

import type { Container, PodIdentity, RuntimeName } from '../container.js';

/** An engine's knowledge of one container. Empty strings are what it does not know. */
export interface EngineContainer extends Pick<
  Container,
  'key' | 'id' | 'name' | 'imageName' | 'imageDigest' | 'imageId' | 'startedAt' | 'bundle'
> {
  /** Its first process, as the host numbers it; 0 while it does not run. */
  readonly pid: number;
  readonly pod?: PodIdentity;
}

/** Containers are told apart by `Container.key`. */
export type EngineEvent =
  /** The stream of events is open: nothing that happens from now on is missed. */
  | { readonly kind: 'open' }
  /** It was created or renamed, and may not run yet. Left out is what the event does not say. */
  | { readonly kind: 'created'; readonly key: string; readonly name?: string; readonly imageName?: string }
  /** It has its first process, which may not have begun yet. */
  | { readonly kind: 'started'; readonly key: string }
  /** Its first process ended; it may be started again. */
  | { readonly kind: 'removed'; readonly key: string }
  /** The engine knows it no more. */
  | { readonly kind: 'deleted'; readonly key: string };

export interface Engine {
  readonly name: RuntimeName;
  /** Where it listens: a socket path. */
  readonly address: string;
  /**
   * Checks that it answers. Throws {@link EngineUnavailableError}, at the latest after a second. Called again each
   * time the connection was lost; what a client library needs is loaded only now, when there is somebody to talk to.
   */
  connect(): Promise<void>;
  /**
   * Whether it is there and surely runs nothing now, as far as can be told without asking it: then it need not be
   * heard before anything else. Engines without this are always asked at once. Never rejects.
   */
  isIdle?(): Promise<boolean>;
  /** Every container, running or not. Rejects with an error of errors.ts, as the following. */
  list(): Promise<EngineContainer[]>;
  /** Undefined when the engine knows no such container. Rejects at the latest after half a second. */
  inspect(key: string): Promise<EngineContainer | undefined>;
  /** Sends events until `signal` aborts, then resolves; rejects when the engine's stream ends or breaks. */
  watch(onEvent: (event: EngineEvent) => void, signal: AbortSignal): Promise<void>;
  /** Lets go of sockets. */
  close(): void;
}
