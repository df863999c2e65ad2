/** The clock of events (bpf_ktime_get_boot_ns) against the wall clock. */
import { readFileSync } from 'node:fs';
import { native } from './native.js';

/** What this process sees added to the machine's CLOCK_BOOTTIME, which is that of events: time_namespaces(7). */
const offsetNs = offsetOfNamespace();

function offsetOfNamespace(): bigint {
  let text = '';
  try {
    text = readFileSync('/proc/self/timens_offsets', 'latin1');
  } catch {
    // The kernel has no time namespaces.
  }
  const [, seconds = '0', ns = '0'] = /^boottime\s+(-?\d+)\s+(\d+)/m.exec(text) ?? [];
  return BigInt(seconds) * 1_000_000_000n + BigInt(ns);
}

/** Nanoseconds to add to a CLOCK_BOOTTIME to get the time since the epoch; changes when the wall clock is set. */
export function bootToEpochNs(): bigint {
  return native().bootToEpochNs() + offsetNs;
}

/** CLOCK_BOOTTIME in nanoseconds, which events carry. */
export function bootNowNs(): number {
  return native().bootNowNs() - Number(offsetNs);
}
