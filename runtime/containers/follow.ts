// Keeps up with one engine for as long as the program runs: connect, list, watch, and again when it comes back.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Engine, EngineContainer, EngineEvent } from './engines/engine.js';

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5000;

export interface EngineListener {
  /** The engine answers; its containers are being listed. */
  onReached(): void;
  /** Every container of the engine, each time it was (re)connected. Events that follow are newer than the list. */
  onList(containers: EngineContainer[]): void;
  onEvent(event: Exclude<EngineEvent, { kind: 'open' }>): void;
  /** The engine cannot be asked now; it is tried again. */
  onLost(error: unknown): void;
}

/** Resolves when `signal` aborts; never rejects. */
export async function follow(engine: Engine, listener: EngineListener, signal: AbortSignal): Promise<void> {
  let pauseMs = FIRST_PAUSE_MS;
  while (!signal.aborted) {
    try {
      await watchOnce(
        engine,
        {
          ...listener,
          onList: (containers) => {
            pauseMs = FIRST_PAUSE_MS;
            listener.onList(containers);
          },
        },
        signal,
      );
    } catch (error) {
      if (!signal.aborted) listener.onLost(error);
    }
    engine.close();
    await sleep(pauseMs, undefined, { signal }).catch(() => {});
    pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
  }
}

/** One connection, from its start to its end. */
async function watchOnce(engine: Engine, listener: EngineListener, signal: AbortSignal): Promise<void> {
  await engine.connect();
  listener.onReached();
  const failed = new AbortController();
  let listing: Promise<void> | undefined;
  const early: Exclude<EngineEvent, { kind: 'open' }>[] = [];
  let listed = false;
  await engine.watch(
    (event) => {
      if (event.kind !== 'open') {
        // What happens while the list is made is newer than the list.
        if (listed) listener.onEvent(event);
        else early.push(event);
        return;
      }
      // Listed once the events are open, so that nothing falls between the two.
      listing = engine.list().then(
        (containers) => {
          if (signal.aborted) return;
          listener.onList(containers);
          listed = true;
          for (const missed of early.splice(0)) listener.onEvent(missed);
        },
        (error: unknown) => failed.abort(error),
      );
    },
    AbortSignal.any([signal, failed.signal]),
  );
  // Nobody waits for a list that is not wanted any more: closing the engine breaks it off.
  if (signal.aborted) return;
  await listing;
  if (failed.signal.aborted) throw failed.signal.reason;
}
