// Limits of a pipeline that both of its threads keep.

/** Failures of the Wasm module, one after the other, until events go on without it. */
export const MAX_GUEST_FAILURES = 3;
