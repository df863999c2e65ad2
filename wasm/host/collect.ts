// Frees at once what an instance of a module held: its memory may be 64 MiB, of which V8 sees a small object.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

let collect: (() => void) | undefined;

/** Collects garbage; takes some milliseconds. To be called when an instance is given up, before there is another. */
export function collectInstance(): void {
  collect ??= exposedCollector();
  collect();
}

/** V8 has the function in contexts that are made while the flag is set. */
function exposedCollector(): () => void {
  setFlagsFromString('--expose-gc');
  try {
    return runInNewContext('gc') as () => void;
  } finally {
    setFlagsFromString('--no-expose-gc');
  }
}
