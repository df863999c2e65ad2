// Asks whoever sits at the terminal.

import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';

/** Whether there is somebody to ask. */
export function canAsk(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

/**
 * Asks on stderr and returns the line typed. Ctrl-C or Ctrl-D ends the process, with the terminal as it was.
 * @param echo `false` for what nobody may see
 */
export async function ask(question: string, echo: boolean): Promise<string> {
  const output = new Writable({
    write(chunk: Buffer, _encoding, done): void {
      if (echo) process.stderr.write(chunk);
      done();
    },
  });
  // With `terminal` the terminal itself echoes nothing. The prompt is drawn again where the line is edited.
  const lines = createInterface({
    input: process.stdin,
    output,
    terminal: true,
    historySize: 0,
    prompt: question,
  });
  process.stderr.write(question);
  const line = await new Promise<string | undefined>((resolve) => {
    lines.once('line', resolve);
    lines.once('SIGINT', () => resolve(undefined));
    // At Ctrl-D; after a line it comes too late to matter.
    lines.once('close', () => resolve(undefined));
  });
  lines.close();
  if (!echo || line === undefined) process.stderr.write('\n');
  return line ?? process.exit(130);
}
