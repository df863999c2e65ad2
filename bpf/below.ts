/** Files of others, such as containers, read from outside without following what they set up out of their root. */
import { native } from './native.js';

/** Far more than a thread should carry for a file of somebody not trusted. */
const MAX_BYTES = 1 << 24;

/**
 * The bytes of the regular file that `path` names to a process whose root directory is `root` (`/proc/PID/root`):
 * absolute links and `..` stay below it. Links of /proc (proc(5): `fd`, `root`, …) are not followed, nothing but a
 * regular file is opened, and what has no size, as files of /proc, is empty.
 * Works in a thread of its own, as a file system may never answer: then the promise is never settled, which keeps
 * neither the event loop nor the process alive; give it a time-out, and do not start more meanwhile.
 * Rejects with an Error with `code`: `ENOENT`, `ELOOP`, `EISDIR`, `EINVAL` for no regular file, `EFBIG` for more than
 * `maxBytes`, `ENOSYS` before Linux 5.6, …
 */
export function readFileBelow(root: string, path: string, maxBytes: number): Promise<Uint8Array> {
  for (const text of [root, path]) {
    if (text === '' || text.includes('\0')) throw new TypeError(`${JSON.stringify(text)} is not a path`);
  }
  if (!Number.isInteger(maxBytes) || maxBytes < 0 || maxBytes > MAX_BYTES)
    throw new RangeError(`${maxBytes} is not a size between 0 and ${MAX_BYTES} bytes`);
  return native().readFileBelow(root, path, maxBytes);
}
