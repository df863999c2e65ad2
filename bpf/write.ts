/** Output to an fd by a thread that must not hang on a reader who went away or stopped reading. */
import { native } from './native.js';

/**
 * write(2) of `bytes[start..end)` that never blocks longer than `timeoutMs`, not even on a blocking pipe or terminal.
 * Returns the number of bytes taken, maybe fewer than given; 0 when none could be within the time.
 * Throws an Error with `code` (`EPIPE`, `ENOSPC`, …).
 */
export function writeSome(
  fd: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  timeoutMs: number,
): number {
  if (!(start >= 0 && start <= end && end <= bytes.length))
    throw new RangeError(`${start}..${end} is not within the ${bytes.length} bytes to write`);
  return native().writeSome(fd, bytes, start, end, timeoutMs);
}

/** How many bytes the pipe `fd` holds that nobody has read; 0 for what is no pipe. */
export function unreadBytes(fd: number): number {
  return native().unreadBytes(fd);
}
