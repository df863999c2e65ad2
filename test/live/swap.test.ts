/** Wasm modules that hang while others take their place, or that are to take the place of others. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { componentOf } from '../../wasm/host/testing.js';
import { Ig, parseAccount } from '../ig.js';
import { createTemporaryDirectory, removeDirectory } from '../registry/images.js';

const UID = 61382;
const TRACE = ['run', 'trace_exec', '--host', '--uid', String(UID), '-o', 'json'];
const HANG = '(loop $forever (br $forever))';

let directory: string;
let generator: ChildProcess;

beforeAll(() => {
  directory = createTemporaryDirectory();
  const script = 'i=0; while :; do /bin/true $i; i=$((i+1)); sleep 0.01; done';
  generator = spawn('sh', ['-c', script], { uid: UID, stdio: 'ignore' });
});
afterAll(async () => {
  generator.kill();
  await once(generator, 'exit');
  removeDirectory(directory);
});

/** A filter that lets all events through, unless `harm` is done in one of its functions. */
function filterWith(harm: { select?: string; process?: string }): Promise<Uint8Array> {
  return componentOf(`(module
    (memory (export "memory") 32)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
    (func (export "$I#init") (param i32 i32 i32 i32 i32) (result i32) (i32.const 64))
    (func (export "$I#select") (param i32 i32) ${harm.select ?? ''})
    (func (export "$I#process") (param i32 i32 i32 i32) (result i32) ${harm.process ?? ''} (i32.const 64))
    (func (export "$I#tick") (param i64) (result i32) (i32.const 64))
    (func (export "$I#finish") (result i32) (i32.const 64)))`);
}

/** Puts a module where `--watch` looks for one, as a compiler does. */
function put(module: Uint8Array, path: string): void {
  writeFileSync(`${path}.new`, module);
  renameSync(`${path}.new`, path);
}

describe('a swap', () => {
  it('to a module that hangs as it is told what is read of it leaves the old one running', async () => {
    const path = join(directory, 'select.wasm');
    put(await filterWith({}), path);
    const ig = await Ig.tracing([...TRACE, '--wasm', path, '--wasm-timeout', '500', '--watch']);
    await ig.until(() => ig.events().length > 0);
    put(await filterWith({ select: HANG }), path);
    await ig.until(() =>
      ig.stderr.includes('filter select took longer than 500 ms to start; the module that runs stays\n'),
    );
    const before = ig.events().length;
    await ig.until(() => ig.events().length > before);
    const { stderr } = await ig.stop();
    expect(parseAccount(stderr).lost).toBe(0);
  });

  it('from a module that hangs takes place, and the old one is blamed', async () => {
    const path = join(directory, 'process.wasm');
    put(await filterWith({ process: HANG }), path);
    const ig = await Ig.tracing([...TRACE, '--wasm', path, '--wasm-timeout', '1500', '--watch']);
    put(await filterWith({}), path);
    await ig.until(() => ig.events().length > 0);
    const { stderr } = await ig.stop();
    expect(stderr).toMatch(/filter process took longer than 1500 ms for a batch and was stopped/);
    expect(stderr).toMatch(/process\.wasm is built again and runs\.$/m);
    expect(stderr).not.toContain('to start');
  });
});
