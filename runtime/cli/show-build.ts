// Shows a build on stderr: its steps while they last, then what compilers say.

import type { BuildListener } from '../build/job.js';
import { say } from './fail.js';
import { openProgress } from './image/progress.js';

/** Runs a build, and shows it, however it ends. */
export async function showBuild<T>(build: (listener: BuildListener) => Promise<T>): Promise<T> {
  const progress = await openProgress();
  // Kept until the bars are gone.
  const said: (() => void)[] = [];
  try {
    return await build({
      progress,
      output: (text) => void said.push(() => void process.stderr.write(text)),
      note: (sentence) => void said.push(() => say(sentence)),
      color: process.stderr.isTTY && process.env['NO_COLOR'] === undefined,
    });
  } finally {
    progress.close();
    for (const print of said) print();
  }
}
