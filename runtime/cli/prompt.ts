// Asks whoever sits at the terminal.

import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';

/** Whether there is somebody to ask. */
export function canAsk(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

/**
 * Asks on stderr and returns the line typed. Ctrl-C ends the process, with the terminal as it was.
 * @param echo `false` for what nobody may see
 */
export async function ask(question: string, echo: boolean): Promise<string> {
  process.stderr.write(question);
  const output = new Writable({
    write(chunk: Buffer, _encoding, done): void {
      if (echo) process.stderr.write(chunk);
      done();
    },
  });
  // Its own echo stops with `terminal`; the prompt is what it keeps in front of the line as it is edited.
  const lines = createInterface({
    input: process.stdin,
    output,
    terminal: true,
    historySize: 0,
    prompt: question,
  });
  try {
    return await new Promise<string>((resolve) => {
      lines.once('line', resolve);
      lines.once('SIGINT', () => stop());
      lines.once('close', () => stop());
    });
  } finally {
    lines.removeAllListeners('close');
    lines.close();
    if (!echo) process.stderr.write('\n');
  }

  function stop(): never {
    lines.removeAllListeners('close');
    lines.close();
    process.stderr.write('\n');
    process.exit(130);
  }
}
