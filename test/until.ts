// Waits for what must happen.

import { setTimeout as sleep } from 'node:timers/promises';

/** Generous, as machines are slow at times; emulated ones (test/kernels) are so always. */
const LIMIT_MS = 40_000 * Number(process.env['IG_TEST_PATIENCE'] ?? 1);
const POLL_MS = 20;

/** Asks again and again until `holds`. Throws when it does not come to that. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
  limitMs = LIMIT_MS,
): Promise<void> {
  const deadlineMs = Date.now() + limitMs;
  while (!(await holds())) {
    if (Date.now() > deadlineMs) throw new Error(`waited ${limitMs} ms in vain for ${what}`);
    await sleep(POLL_MS);
  }
}
