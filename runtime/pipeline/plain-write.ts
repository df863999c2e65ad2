// Writes output where there is no native addon: on machines that cannot trace, too.

import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import type { SinkPort } from './sink.js';

const { O_NONBLOCK, O_NOCTTY, O_WRONLY } = constants;
/** How often a reader that takes nothing is tried again. */
const RETRY_MS = 5;

/**
 * A `write` for the descriptor `fd`. Where the system lets a pipe or terminal be opened a second time, as
 * Linux does, a reader that takes nothing does not hold it longer than the time it is given.
 */
export function plainWrite(fd: number): SinkPort['write'] {
  const own = reopen(fd) ?? fd;
  const pause = new Int32Array(new SharedArrayBuffer(4));
  return (_, bytes, start, end, timeoutMs) => {
    const endMs = performance.now() + timeoutMs;
    for (;;) {
      try {
        return writeSync(own, bytes, start, end - start);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      }
      if (performance.now() >= endMs) return 0;
      Atomics.wait(pause, 0, 0, RETRY_MS);
    }
  };
}

/** The same pipe or terminal, not shared with those whose writes are to block. */
function reopen(fd: number): number | undefined {
  let own: number | undefined;
  try {
    const stat = fstatSync(fd);
    if (!stat.isFIFO() && !stat.isCharacterDevice()) return undefined;
    own = openSync(`/dev/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
    if (fstatSync(own).ino === stat.ino) return own;
    closeSync(own);
  } catch {
    // Not ours to open, or the system does not do that.
  }
  return undefined;
}
