// docs/publish-a-gadget.md: every command in it runs, in order, and prints what the guide shows.

import { spawn } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { IG } from '../ig.js';
import { createTemporaryDirectory, removeDirectory } from './images.js';
import { type RunningRegistry, startRegistry } from './registry.js';

const GUIDE = fileURLToPath(new URL('../../docs/publish-a-gadget.md', import.meta.url));
const REGISTRY = 'localhost:5000';
const LOGIN = { username: 'alice', password: 's3cret' };

interface Step {
  readonly line: number;
  readonly commands: string;
  /** On the author's machine, or on another. */
  readonly machine: 'here' | 'elsewhere';
  readonly fails: boolean;
  /** What follows in a block of its own. */
  readonly output: string;
}

/** Blocks ```sh, each with the block ```text behind it if there is one. */
function readSteps(markdown: string): Step[] {
  const block = /^```sh(.*)\n([^]*?)^```\n(?:\n```text\n([^]*?)^```\n)?/gm;
  return [...markdown.matchAll(block)].map(({ index, 1: words = '', 2: commands = '', 3: output = '' }) => ({
    line: markdown.slice(0, index).split('\n').length,
    commands,
    machine: words.includes('elsewhere') ? 'elsewhere' : 'here',
    fails: words.includes('fails'),
    output,
  }));
}

const markdown = readFileSync(GUIDE, 'utf8');
const steps = readSteps(markdown);
let root: string;
let registry: RunningRegistry;

beforeAll(async () => {
  root = createTemporaryDirectory();
  registry = await startRegistry({ login: LOGIN });
  mkdirSync(join(root, 'bin'));
  writeFileSync(join(root, 'bin/ig'), `#!/bin/sh\nexec '${process.execPath}' '${IG}' "$@"\n`);
  chmodSync(join(root, 'bin/ig'), 0o755);
  for (const machine of ['here', 'elsewhere']) {
    for (const name of ['work', 'home', 'var-lib']) mkdirSync(join(root, machine, name), { recursive: true });
  }
});
afterAll(async () => {
  await registry.stop();
  removeDirectory(root);
});

/** Runs a block in bash, in a mount namespace where /var/lib is the machine's own; variables stay in `env`. */
async function run({ machine, commands }: Step): Promise<{ output: string; status: number | null }> {
  const place = join(root, machine);
  const script = `
    [ ! -e ../env ] || . ../env
    set -e
    ${commands.replaceAll(REGISTRY, registry.host)}
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
  return { output: Buffer.concat(chunks).toString().replaceAll(registry.host, REGISTRY), status };
}

/** `…` stands for anything within a line, and alone for any lines; blanks are as good as others. */
function shown(output: string): RegExp {
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

/** What somebody would copy to the other machine: the public key, the archive. */
function carry(): void {
  const work = join(root, 'here/work');
  const files = readdirSync(work).filter((name) => /\.(pub|tar)$/.test(name));
  for (const name of files) copyFileSync(join(work, name), join(root, 'elsewhere/work', name));
}

it('has steps on both machines', () => {
  expect(steps.filter(({ machine }) => machine === 'here').length).toBeGreaterThan(5);
  expect(steps.filter(({ machine }) => machine === 'elsewhere').length).toBeGreaterThan(2);
  // A block that the pattern above overlooks would not be run.
  expect(steps.length).toBe(markdown.match(/^```sh/gm)?.length);
});

it.each(steps)('line $line does what it says', async (step) => {
  if (step.machine === 'elsewhere') carry();
  const { output, status } = await run(step);
  expect({ output, status: step.fails ? status !== 0 : status }).toEqual({
    output,
    status: step.fails ? true : 0,
  });
  if (step.output !== '')
    expect(`${output.trimEnd()}\n`.replace(/\n\s*\n/g, '\n')).toMatch(shown(step.output));
});
