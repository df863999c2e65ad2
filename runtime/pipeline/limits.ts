// Limits of a pipeline that both of its threads keep.

/** Failures of a Wasm module, one after the other, until events go on without it for good. */
export const MAX_GUEST_FAILURES = 3;
/** How long events go on without a module that failed twice in a row. */
export const GUEST_BACK_OFF_MS = 1000;
