// Runs the commands of a guide: blocks ```sh, each compared with the block ```text behind it, if there is one.

import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { IG } from '../ig.js';

export interface Step {
  readonly line: number;
  readonly commands: string;
  /** On the author's machine, or on another. */
  readonly machine: 'here' | 'elsewhere';
  readonly fails: boolean;
  /** What follows in a block of its own. */
  readonly output: string;
}

export function readSteps(markdown: string): Step[] {
  const block = /^```sh(.*)\n([^]*?)^```\n(?:\n```text\n([^]*?)^```\n)?/gm;
  return [...markdown.matchAll(block)].map(({ index, 1: words = '', 2: commands = '', 3: output = '' }) => ({
    line: markdown.slice(0, index).split('\n').length,
    commands,
    machine: words.includes('elsewhere') ? 'elsewhere' : 'here',
    fails: words.includes('fails'),
    output,
  }));
}

/** Makes the machines in `root`, on which `ig` is the built one, and who calls `sudo` is root already. */
export function makeMachines(root: string): void {
  mkdirSync(join(root, 'bin'));
  const programs = { ig: `exec '${process.execPath}' '${IG}' "$@"`, sudo: 'exec "$@"' };
  for (const [name, command] of Object.entries(programs)) {
    writeFileSync(join(root, 'bin', name), `#!/bin/sh\n${command}\n`);
    chmodSync(join(root, 'bin', name), 0o755);
  }
  for (const machine of ['here', 'elsewhere']) {
    for (const name of ['work', 'home', 'var-lib']) mkdirSync(join(root, machine, name), { recursive: true });
  }
}

/** Runs a step in bash, in a mount namespace where /var/lib is the machine's own; variables stay in `env`. */
export async function runStep(
  root: string,
  { machine, commands }: Step,
): Promise<{ output: string; status: number | null }> {
  const place = join(root, machine);
  const script = `
    [ ! -e ../env ] || . ../env
    set -e
    ${commands}
    export -p > ../env`;
  const mount = 'mount --bind "$0" /var/lib && exec "$@"';
  const child = spawn('unshare', ['-m', 'sh', '-c', mount, join(place, 'var-lib'), 'bash', '-c', script], {
    cwd: join(place, 'work'),
    env: { PATH: `${join(root, 'bin')}:${process.env['PATH']}`, HOME: join(place, 'home') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return { output: Buffer.concat(chunks).toString(), status };
}

/** `…` stands for anything within a line, and alone for any lines; blanks are as good as others. */
export function shown(output: string): RegExp {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  const patterns = lines.map((line) => {
    if (line.trim() === '…') return '(?:.*\\n)*?';
    const parts = line
      .trim()
      .split('…')
      .map((part) =>
        part
          .split(/\s+/)
          .map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
          .join('[^\\S\\n]+'),
      );
    return `[^\\S\\n]*${parts.join('.*')}[^\\S\\n]*\\n`;
  });
  return new RegExp(`^${patterns.join('')}$`);
}

/** What was printed, as `shown` takes it. */
export function printed(output: string): string {
  return `${output.trimEnd()}\n`.replace(/\n\s*\n/g, '\n');
}
