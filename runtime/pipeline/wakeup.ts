// Decides how a worker waits for its ring: woken at once when idle, by the clock when events flow.
//
// The kernel wakes a reader only for a record that finds the ring fully read (kernel/bpf/ringbuf.c,
// bpf_ringbuf_commit). A reader that is woken per event costs the traced workload half its speed; one that sleeps
// while events flow is woken never, and pays once per nap.

/** A batch of this many records means that more will follow soon. */
const BUSY_RECORDS = 8;
/** Longest nap while events flow: the bound of the latency. */
const MAX_NAP_MS = 20;
/** Longest wait when nothing happens: the bound of the answer to a message or a stop. */
const IDLE_WAIT_MS = 100;

export interface Nap {
  /** `ring`: until a record comes or the time is over. `clock`: just the time. `none`: drain again now. */
  readonly until: 'ring' | 'clock' | 'none';
  readonly timeoutMs: number;
}

const AT_ONCE: Nap = { until: 'none', timeoutMs: 0 };
const SHORT: Nap = { until: 'clock', timeoutMs: MAX_NAP_MS / 4 };
const NORMAL: Nap = { until: 'clock', timeoutMs: MAX_NAP_MS };
const IDLE: Nap = { until: 'ring', timeoutMs: IDLE_WAIT_MS };

/** How to wait after a drain that found `records`, the ring having been filled to `fill` (0 … 1) before it. */
export function napAfter(records: number, fill: number): Nap {
  if (fill > 0.25) return AT_ONCE;
  if (fill > 0.05) return SHORT;
  return records >= BUSY_RECORDS ? NORMAL : IDLE;
}
