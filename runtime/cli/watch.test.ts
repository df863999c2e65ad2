import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { followSources } from './watch.js';

const said = vi.hoisted((): string[] => []);
vi.mock('./fail.js', () => ({ say: (line: string) => said.push(line) }));

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ig-watch-'));
  said.length = 0;
});
afterEach(() => rmSync(directory, { recursive: true }));

function file(name: string): string {
  const path = join(directory, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, '');
  return path;
}

describe('--watch', () => {
  it('swaps one after the other when several sources change at once', async () => {
    const filters = [file('a/a.wasm'), file('b/b.wasm')];
    let running = 0;
    let swaps = 0;
    const swap = async (): Promise<void> => {
      expect(++running).toBe(1);
      await turn();
      running--;
      swaps++;
    };
    const unfollow = followSources({
      ...{ session: { swap }, image: 'trace_exec', filters },
      reopenFilters: () => Promise.resolve([]),
    });
    filters.forEach((path) => writeFileSync(path, 'new'));
    await vi.waitFor(() => expect(swaps).toBe(2), 10_000);
    unfollow();
    expect(said.toSorted()).toEqual(filters.map((path) => `Filter ${path} is built again and runs.`));
  });

  it('follows a file in whose place an editor puts another, and folders that come later', async () => {
    const source = file('a/wasm/program.ts');
    let swaps = 0;
    const unfollow = followSources({
      session: { swap: () => Promise.resolve(void swaps++) },
      ...{ image: 'trace_exec', filters: [join(directory, 'a')] },
      reopenFilters: () => Promise.resolve([]),
    });
    const changes = [
      () => renameSync(file('new'), source),
      () => appendFileSync(source, '// again'),
      () => mkdirSync(join(directory, 'a/wasm/words')),
      () => writeFileSync(join(directory, 'a/wasm/words/words.ts'), ''),
      () => renameSync(join(directory, 'a/wasm/words'), join(directory, 'a/wasm/names')),
      () => appendFileSync(join(directory, 'a/wasm/names/words.ts'), '// again'),
    ];
    for (const [index, change] of changes.entries()) {
      change();
      await vi.waitFor(() => expect(swaps).toBe(index + 1), 10_000);
    }
    unfollow();
  });

  it('says nothing of a build that the end of the run overtakes', async () => {
    const path = file('a.wasm');
    let fail: ((error: Error) => void) | undefined;
    const unfollow = followSources({
      ...{ session: { swap: () => Promise.resolve() }, image: 'trace_exec', filters: [path] },
      reopenFilters: () => new Promise((_, reject) => (fail = reject)),
    });
    writeFileSync(path, 'new');
    await vi.waitFor(() => expect(fail).toBeDefined(), 10_000);
    unfollow();
    fail!(new Error('the compiler was stopped'));
    await turn();
    expect(said).toEqual([]);
  });

  it.each([
    ['wasm/words.h', /; the module that runs stays$/],
    ['words.h', /^words\.h changed: start ig again to take that in\.$/],
    ['program.bpf.c', /^program\.bpf\.c changed: start ig again to take that in\.$/],
  ])('takes %s for what it is a part of', async (name, expected) => {
    const source = file(name);
    file('wasm/program.wasm'); // no module, so that what is built is told to be none
    const unfollow = followSources({
      ...{ session: { swap: () => Promise.resolve() }, image: directory, filters: [] },
      reopenFilters: () => Promise.resolve([]),
    });
    writeFileSync(source, 'new');
    await vi.waitFor(() => expect(said).toEqual([expect.stringMatching(expected)]), 10_000);
    unfollow();
  });
});
