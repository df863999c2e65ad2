// The process that hashes files: one that hangs in a file system that does not answer keeps nobody else.

import { setPriority } from 'node:os';
import type { FileToHash } from './file.js';
import { HashQueue } from './hash-queue.js';

/** Whoever makes much work for it is not to slow down the machine. */
const NICE = 10;

const queue = new HashQueue();

function tell(message: object): void {
  // Nobody may be there any more.
  if (process.connected) process.send!(message, () => undefined);
}

process.on('message', ({ id, file }: { id: number; file?: FileToHash }) => {
  if (file === undefined) tell({ id });
  else queue.add(file, (outcome) => tell({ id, outcome }));
});
process.on('disconnect', () => process.exit());
setPriority(NICE);
tell({ id: 0 });
