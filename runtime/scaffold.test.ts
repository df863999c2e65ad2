import { existsSync, mkdirSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../test/registry/images.js';
import { LANGUAGES } from './build/language.js';
import { GadgetFolder } from './build/folder.js';
import { readBuildFile } from './build/build-file.js';
import { planBuild } from './build/plan.js';
import { readCases } from './gadget-test/cases.js';
import { scaffold } from './scaffold.js';

describe('a new folder', () => {
  it.each(LANGUAGES.flatMap((language) => [[language, 'gadget'] as const, [language, 'filter'] as const]))(
    'in %s holds all of a %s, under its name',
    (language, kind) => {
      const path = join(temporaryDirectory(), 'deeper', 'trace-mine2');
      const files = scaffold(path, kind, language);
      expect(files).toContain('README.md');
      const folder = new GadgetFolder(path);
      const plan = planBuild(folder, readBuildFile(folder, undefined), {
        validate: true,
        updateMetadata: false,
      });
      expect(plan.ebpf).toBe(kind === 'gadget' ? 'program.bpf.c' : undefined);
      expect(plan.wasm?.language).toBe(language);
      expect(readCases(folder).map(({ name }) => name)).toEqual(['all', 'hide']);
      const texts = files
        .filter((file) => !file.endsWith('.ig'))
        .map((file) => readFileSync(join(path, file), 'utf8'));
      expect(texts.join('')).not.toContain('my_gadget');
      expect(readFileSync(join(path, 'gadget.yaml'), 'utf8')).toMatch(/^name: trace-mine2\n/);
      expect(statSync(join(path, 'test/execs.ig')).size).toBeLessThan(100_000);
    },
  );

  it('does not replace one', () => {
    const path = join(temporaryDirectory(), 'mine');
    mkdirSync(path);
    expect(() => scaffold(path, 'gadget', 'assemblyscript')).toThrow(
      `cannot make the folder ${path}: it is there already, and nothing in it is overwritten`,
    );
    expect(readdirSync(path)).toEqual([]);
  });

  it.each(['Mine', '7up', 'a b', '-x', 'x-', 'x__y', 'ä', 'x'.repeat(61)])('is not named %s', (name) => {
    const path = join(temporaryDirectory(), name);
    expect(() => scaffold(path, 'filter', 'assemblyscript')).toThrow(
      / is no name for a filter: take lower-case letters/,
    );
    expect(existsSync(path)).toBe(false);
  });
});
