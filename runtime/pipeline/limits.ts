// Limits of a pipeline that both of its threads keep.

/** Failures of a Wasm module, one after the other, until events go on without it for good. */
export const MAX_GUEST_FAILURES = 3;
const GUEST_BACK_OFF_MS = 1000;

/**
 * How long a module rests that failed for the n-th time in a row: the first may be an accident of one batch. Not in a
 * replay, which goes through any number of events in that time, and is to show the same each time.
 */
export function restMs(failures: number, isReplay: boolean): number {
  return failures > 1 && !isReplay ? GUEST_BACK_OFF_MS : 0;
}
