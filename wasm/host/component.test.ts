// Which Wasm binaries are accepted, what is kept of them, and how a module's failure looks.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmod,
  chown,
  lstat,
  mkdtemp,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { parse } from '@bytecodealliance/jco-transpile/wasm-tools';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type PreparedGuest, prepareComponent } from './component.js';
import { GuestError, InvalidModuleError } from './errors.js';
import { type Guest, instantiateGuest } from './guest.js';
import { moduleForm } from './module-form.js';
import { HARMFUL_GUEST, TALKING_GUEST, componentOf } from './testing.js';
import { TRANSPILER_VERSION } from './transpile.js';
import { runTranspiler } from './transpiler.js';

vi.setConfig({ testTimeout: 60_000 }); // each transpilation loads the transpiler anew

let directory: string;
let harmful: Uint8Array;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ig-wasm-'));
  harmful = await componentOf(HARMFUL_GUEST);
});
afterAll(() => rm(directory, { recursive: true }));

const prepare = (bytes: Uint8Array): Promise<PreparedGuest> => prepareComponent(bytes, { cacheDirs: [] });
const refusal = async (bytes: Uint8Array): Promise<string> => {
  const error: unknown = await prepare(bytes).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(InvalidModuleError);
  return (error as Error).message;
};

describe('moduleForm', () => {
  it('tells a component and a core module apart', async () => {
    expect(moduleForm(harmful)).toBe('component');
    expect(moduleForm(await parse('(module)'))).toBe('core');
  });

  it.each([
    ['an empty file', Buffer.alloc(0), /not WebAssembly/],
    ['text', Buffer.from('#!/bin/sh\nexit'), /not WebAssembly/],
    ['a header cut short', Buffer.from('\0asm\x01\0\0', 'latin1'), /not WebAssembly/],
    ['an unknown version', Buffer.from('\0asm\x02\0\0\0', 'latin1'), /unknown version 0x2/],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => moduleForm(bytes)).toThrow(message);
    expect(() => moduleForm(bytes)).toThrow(InvalidModuleError);
  });
});

describe('prepareComponent', () => {
  it('refuses a core module', async () => {
    expect(await refusal(await parse('(module)'))).toMatch(/core module, not a component/);
  });

  it('refuses a component cut short', async () => {
    expect(await refusal(harmful.subarray(0, 500))).toMatch(/is damaged/);
  });

  it('refuses imports, and names them', async () => {
    const bytes = await parse(`(component
      (import "wasi:cli/exit@0.2.0" (instance $exit (export "now" (func))))
      (core func $now (canon lower (func $exit "now")))
      (core module $m (import "a" "now" (func)) (func (export "run") call 0))
      (core instance $i (instantiate $m (with "a" (instance (export "now" (func $now))))))
      (func $run (canon lift (core func $i "run")))
      (instance $p (export "finish" (func $run)))
      (export "ig:post-processor/processor@1.0.0" (instance $p)))`);
    expect(await refusal(bytes)).toMatch(
      /imports wasi:cli\/exit@0\.2\.0, but a post-processor may import nothing/,
    );
  });

  it.each([
    ['a function', '(import "f" (func))', /imports f, but/],
    [
      'an instance that is not used',
      '(import "wasi:io/poll@0.2.0" (instance (export "f" (func))))',
      /imports wasi:io/,
    ],
    ['a core module', `(import "m" (core module (import "\\27;x()//" "a" (func))))`, /imports m, but/],
    ['a resource', '(import "r" (type (sub resource)))', /imports r, but/],
    ['a URL', `(import "url=<x'];globalThis.pwned=1;['>" (func))`, /imports url=/],
  ])('refuses the import of %s', async (_, text, message) => {
    expect(await refusal(await parse(`(component ${text})`))).toMatch(message);
  });

  it('works on after a component at which the transpiler panics', async () => {
    const panics = await parse('(component (import "url=<a>" (func)))');
    await expect(runTranspiler(panics)).rejects.toThrow(/is not valid: .*unreachable/);
    await expect(runTranspiler(harmful)).resolves.toHaveProperty('exports');
  });

  it('refuses a component that exports nothing of ours', async () => {
    expect(await refusal(await parse('(component)'))).toMatch(
      /exports nothing, but must export ig:post-processor/,
    );
    expect(await refusal(await component('ig:post-processor/processor@0.2.0'))).toMatch(
      /exports .*@0\.2\.0, but/,
    );
  });

  it('refuses an interface of our name with other functions', async () => {
    expect(await refusal(await component('ig:post-processor/processor@1.0.0'))).toMatch(
      /has another init than/,
    );
  });

  it('refuses a module that needs more memory than allowed', async () => {
    const bytes = await componentOf(HARMFUL_GUEST.replace('(export "memory") 2', '(export "memory") 1025'));
    expect(await refusal(bytes)).toMatch(/needs 64 MiB of memory from the start/);
  });

  it.each([`x'];globalThis.pwned=1;['`, 'x\ny', 'x\\', 'x`', 'x\u2028y', 'é', 'x"y', '${x}', '*/', "'"])(
    'refuses a core export named %j, which would end up in JavaScript',
    async (name) => {
      const escaped = [...Buffer.from(name)]
        .map((byte) => `\\${byte.toString(16).padStart(2, '0')}`)
        .join('');
      const wat = HARMFUL_GUEST.replace('(export "table")', `(export "table") (export "${escaped}")`);
      expect(await refusal(await componentOf(wat))).toMatch(/core import or export named/);
      expect(globalThis).not.toHaveProperty('pwned');
    },
  );
});

/** A component that exports one function without parameters from an instance of this name. */
function component(name: string): Promise<Uint8Array> {
  return parse(`(component
    (core module $m (func (export "run")))
    (core instance $i (instantiate $m))
    (func $run (canon lift (core func $i "run")))
    (instance $p (export "finish" (func $run)))
    (export "${name}" (instance $p)))`);
}

describe('the cache', () => {
  it('makes the same guest without the transpiler', async () => {
    const cacheDirs = [join(directory, 'a')];
    const first = await prepareComponent(harmful, { cacheDirs });
    expect(await readdir(cacheDirs[0]!)).toEqual([`${first.digest}-${TRANSPILER_VERSION}`]);
    const second = await prepareComponent(harmful, { cacheDirs: [join(directory, 'none'), ...cacheDirs] });
    expect(second.source).toBe(first.source);
    expect(await readdir(directory)).toEqual(['a']); // was a hit: nothing was written to the first
  });

  it('rebuilds an entry that was changed', async () => {
    const cacheDirs = [join(directory, 'b')];
    const { digest, source } = await prepareComponent(harmful, { cacheDirs });
    const path = join(cacheDirs[0]!, `${digest}-${TRANSPILER_VERSION}`);
    const entry = await readFile(path);
    for (const damage of [entry.subarray(0, 1000), Buffer.alloc(0), flip(entry, 1000), flip(entry, 3)]) {
      await writeFile(path, damage);
      expect((await prepareComponent(harmful, { cacheDirs })).source).toBe(source);
      expect(await readFile(path)).toEqual(entry);
    }
  });

  it('does not run an entry that others can write', async () => {
    const cacheDirs = [join(directory, 'c')];
    const { digest } = await prepareComponent(harmful, { cacheDirs });
    const path = join(cacheDirs[0]!, `${digest}-${TRANSPILER_VERSION}`);
    await chmod(path, 0o666);
    await prepareComponent(harmful, { cacheDirs });
    const { mode } = await stat(path);
    expect(mode & 0o777).toBe(0o644); // was replaced
  });

  it('does not run the entry of another component, nor wait for one that never ends', async () => {
    const cacheDirs = [join(directory, 'd')];
    const { digest, source } = await prepareComponent(harmful, { cacheDirs });
    const path = join(cacheDirs[0]!, `${digest}-${TRANSPILER_VERSION}`);
    const entry = await readFile(path);
    await rm(path);
    execFileSync('mkfifo', [path]);
    expect((await prepareComponent(harmful, { cacheDirs })).source).toBe(source);
    expect(await readFile(path)).toEqual(entry); // took its place
    const other = await componentOf(TALKING_GUEST);
    const otherDigest = createHash('sha256').update(other).digest('hex');
    await writeFile(join(cacheDirs[0]!, `${otherDigest}-${TRANSPILER_VERSION}`), entry);
    expect((await prepareComponent(other, { cacheDirs })).modules).not.toEqual([]);
    expect(await readFile(join(cacheDirs[0]!, `${otherDigest}-${TRANSPILER_VERSION}`))).not.toEqual(entry);
  });

  it.runIf(process.getuid?.() === 0)(
    'does not run an entry of another user, behind a link or not',
    async () => {
      const cacheDirs = [join(directory, 'e')];
      const { digest } = await prepareComponent(harmful, { cacheDirs });
      const path = join(cacheDirs[0]!, `${digest}-${TRANSPILER_VERSION}`);
      const theirs = join(directory, 'theirs');
      await rename(path, theirs);
      await chown(theirs, 65534, 65534);
      await symlink(theirs, path);
      await prepareComponent(harmful, { cacheDirs });
      const { uid, size } = await lstat(path); // was replaced by a file of its own
      expect([uid, size]).toEqual([0, (await stat(theirs)).size]);
    },
  );

  it('is not needed', async () => {
    const file = join(directory, 'file');
    await writeFile(file, '');
    await expect(prepareComponent(harmful, { cacheDirs: [file] })).resolves.toHaveProperty('digest');
  });

  it('names the installed transpiler', async () => {
    const path = new URL('../../package.json', import.meta.url);
    const { dependencies } = JSON.parse(await readFile(path, 'utf8')) as {
      dependencies: Record<string, string>;
    };
    expect(TRANSPILER_VERSION).toContain(dependencies['@bytecodealliance/jco-transpile']);
  });
});

function flip(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at]! ^= 1;
  return copy;
}

describe('a guest', () => {
  let prepared: PreparedGuest;
  beforeAll(async () => {
    prepared = await prepare(harmful);
  });
  const started = (): Guest => {
    const guest = instantiateGuest(prepared);
    guest.init([], [], 'error');
    return guest;
  };
  const failure = (count: number): GuestError => {
    const guest = started();
    try {
      guest.process(0, count, new Uint8Array(16));
    } catch (error) {
      if (error instanceof GuestError) return error;
    }
    throw new Error('there was no GuestError');
  };

  it('traps with the words of the trap', () => {
    expect(failure(1).message).toMatch(/failed in process: .*unreachable/);
  });

  it('fails with its own words, on one line', () => {
    expect(failure(2).message).toBe("the gadget's Wasm module failed in process: it was?not my fault");
    expect(() => started().finish()).toThrow("the gadget's Wasm module failed in finish: it was");
  });

  it('fails when it returns bytes outside its memory', () => {
    expect(failure(3).message).toMatch(/64 bytes at 2147483632, which is outside its memory/);
  });

  it('grows its memory and tables no further than allowed', async () => {
    // The module returns an error of as many bytes as it got pages or entries.
    const got = (count: number): number => (failure(count).cause as { payload: string }).payload.length;
    expect(got(4)).toBe(1024);
    expect(got(5)).toBeGreaterThan(90_000);
    expect(got(5)).toBeLessThanOrEqual(100_000);
    prepared = await prepareComponent(harmful, { cacheDirs: [], memoryMaxBytes: 1024 * 1024 });
    expect(got(4)).toBe(16);
  });

  it('can be made again after a failure', () => {
    failure(1);
    expect(started().process(0, 7, new Uint8Array(0))).toHaveLength(0);
  });

  it('can be posted to a worker', async () => {
    const worker = new Worker(
      `const { workerData, parentPort } = require('node:worker_threads');
       parentPort.postMessage(WebAssembly.Module.exports(workerData.modules[0].module).length);`,
      { eval: true, workerData: prepared },
    );
    const exports = await new Promise((resolve, reject) =>
      worker.once('message', resolve).once('error', reject),
    );
    expect(exports).toBeGreaterThan(4);
  });
});
