// @ts-check
// Measures how long programs take from being spawned to their first output, or to their end.

import { spawn } from 'node:child_process';
import { IG } from './build.js';

const TIMEOUT_MS = 30_000;

/**
 * @typedef {object} Start
 * @property {string} name
 * @property {readonly string[]} command
 * @property {boolean} toEnd until it ends; otherwise until its first output
 */

/** @type {(tracers: readonly import('./tracers.js').Tracer[]) => Start[]} */
export function starts(tracers) {
  return [
    { name: 'node -e 0', command: [process.execPath, '-e', '0'], toEnd: true },
    { name: 'ig --help', command: [...IG, '--help'], toEnd: true },
    ...tracers.flatMap(({ startCommand }) =>
      startCommand === undefined
        ? []
        : [{ name: `${titleOf(startCommand)}, to attached`, command: startCommand, toEnd: false }],
    ),
  ];
}

/** @type {(command: readonly string[]) => string} */
function titleOf(command) {
  if (command[0] === IG[0]) return ['ig', ...command.slice(IG.length)].join(' ');
  return command.find((word) => word === 'execsnoop' || word === 'bpftrace') ?? String(command[0]);
}

/** In ms. Throws when there was no output. @type {(start: Start) => Promise<number>} */
export async function measureStart({ name, command, toEnd }) {
  const [program = '', ...args] = command;
  const before = performance.now();
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS);
  try {
    return await new Promise((resolve, reject) => {
      const done = () => resolve(performance.now() - before);
      child.stdout.on('data', () => (toEnd ? undefined : done()));
      child.once('error', reject);
      child.once('exit', () => (toEnd ? done() : reject(new Error(`${name} ended without output`))));
    });
  } finally {
    child.kill('SIGINT');
    await ended;
    clearTimeout(timer);
  }
}
