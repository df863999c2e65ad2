// What the engines with an HTTP API have in common: docker's, and podman's that was modelled on it.

import { EngineAnswerError } from '../errors.js';
import type { EngineContainer } from './engine.js';
import { at, countAt, stringAt } from './json.js';
import { mapLimited } from './map-limited.js';

const INSPECTS_AT_ONCE = 8;

export interface Listed {
  /** What the listing alone tells. */
  readonly container: EngineContainer;
  readonly isRunning: boolean;
}

/**
 * The containers of an engine's listing, those that run as an inspection tells: it knows more. One that fails leaves
 * what the listing said.
 */
export async function inspectRunning(
  listing: readonly Listed[],
  inspect: (id: string) => Promise<EngineContainer | undefined>,
): Promise<EngineContainer[]> {
  const known = listing.filter(({ container }) => container.id !== '');
  const stopped = known.filter(({ isRunning }) => !isRunning).map(({ container }) => container);
  const running = known.filter(({ isRunning }) => isRunning);
  const inspected = await mapLimited(running, INSPECTS_AT_ONCE, ({ container }) =>
    inspect(container.id).catch(() => container),
  );
  return [...stopped, ...inspected.filter((container) => container !== undefined)];
}

export interface HttpEvent {
  readonly action: string;
  /** Of the container. */
  readonly id: string;
  /** `name`, `image` and more. */
  readonly attributes: unknown;
  /** When it happened, in seconds since 1970. */
  readonly timeS: number;
  /** What went wrong, where that is told in the middle of the events; else empty. */
  readonly message: string;
}

/** Throws {@link EngineAnswerError} for a line that is not JSON. What is no event has neither action nor id. */
export function parseEvent(line: string): HttpEvent {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch {
    throw new EngineAnswerError('an event that is not JSON');
  }
  return {
    action: stringAt(event, 'Action'),
    id: stringAt(event, 'Actor', 'ID'),
    attributes: at(event, 'Actor', 'Attributes'),
    timeS: countAt(event, 'time'),
    message: stringAt(event, 'message'),
  };
}
