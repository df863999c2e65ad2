/** The clock of events (bpf_ktime_get_boot_ns) against the wall clock. */
import { native } from './native.js';

/** Nanoseconds to add to a CLOCK_BOOTTIME to get the time since the epoch; changes when the wall clock is set. */
export function bootToEpochNs(): bigint {
  return native().bootToEpochNs();
}

/** CLOCK_BOOTTIME in nanoseconds, which events carry. */
export function bootNowNs(): number {
  return native().bootNowNs();
}
