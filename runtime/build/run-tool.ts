// Runs a compiler to its end: without a shell, and with its output in hand.

import { spawn } from 'node:child_process';

/** How a tool ended. */
export interface ToolResult {
  readonly ok: boolean;
  /** Null when a signal ended it. */
  readonly status: number | null;
  /** All it printed, on stdout and stderr. */
  readonly output: string;
}

const MAX_OUTPUT_BYTES = 4 * 1024 * 1024;

/** Runs `program`; resolves with undefined when there is no such program, or it cannot be run. */
export function runTool(
  program: string,
  args: readonly string[],
  cwd?: string,
): Promise<ToolResult | undefined> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...(cwd === undefined ? {} : { cwd }) });
    const chunks: Buffer[] = [];
    let size = 0;
    const keep = (chunk: Buffer): void => {
      size += chunk.length;
      if (size <= MAX_OUTPUT_BYTES) chunks.push(chunk);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.once('error', () => resolve(undefined));
    child.once('close', (status) => resolve({ ok: status === 0, status, output: Buffer.concat(chunks).toString() }));
  });
}
