/** What needs no Linux: recordings and the tests of filters, with ig as built for another machine. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { IG } from '../ig.js';
import { createTemporaryDirectory, removeDirectory } from '../registry/images.js';

/** One that new filters come with. */
const RECORDING = fileURLToPath(new URL('../../wasm/sdk/template/filter/test/execs.ig', import.meta.url));

/** Another platform, as far as a process can be told: no addon, and none of the files that only Linux has. */
const ELSEWHERE = `
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
Object.defineProperty(process, 'platform', { value: 'darwin' });
process.dlopen = (_, file) => { throw new Error('native code: ' + file); };
for (const name of ['openSync', 'readFileSync', 'statSync', 'readdirSync', 'existsSync']) {
  const real = fs[name];
  fs[name] = (path, ...rest) => {
    if (/^\\/(proc|sys|run)\\//.test(String(path))) throw new Error('a file of Linux: ' + path);
    return real(path, ...rest);
  };
}
syncBuiltinESMExports();
`;

let directory: string;
beforeAll(() => {
  directory = createTemporaryDirectory();
  writeFileSync(join(directory, 'elsewhere.mjs'), ELSEWHERE);
});
afterAll(() => removeDirectory(directory));

async function ig(...words: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const preload = ['--import', join(directory, 'elsewhere.mjs')];
  const child = spawn(process.execPath, [...preload, IG, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, HOME: directory },
    cwd: directory,
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => (stdout += String(chunk)));
  child.stderr.on('data', (chunk) => (stderr += String(chunk)));
  const [status] = (await once(child, 'close')) as [number];
  return { status, stdout, stderr };
}

it('shows a recording', async () => {
  const { status, stdout, stderr } = await ig('replay', RECORDING, '-o', 'json');
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout.split('\n').length).toBeGreaterThan(5);
});

it('begins a filter and tests it', async () => {
  const made = await ig('gadget', 'new', 'mine', '--filter', '--lang', 'assemblyscript');
  expect(made.stdout + made.stderr).toContain('ig gadget test');
  const { status, stdout, stderr } = await ig('gadget', 'test', 'mine');
  expect({ status, stderr }).toEqual({ status: 0, stderr: 'compile wasm/program.ts: done\n' });
  expect(stdout).toMatch(/^hide: passed, \d+ events$/m);
  const shown = await ig('replay', RECORDING, '--wasm', './mine', '-o', 'json');
  expect(shown.status).toBe(0);
});

it('says what it lacks to trace', async () => {
  const { status, stderr } = await ig('run', 'trace_exec');
  expect(status).toBe(1);
  expect(stderr).toMatch(/^Error: .*\n$/);
  expect(stderr).not.toMatch(/\n\s+at /);
});
