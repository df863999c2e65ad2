import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../../test/registry/images.js';
import { readBuildFile } from './build-file.js';
import { GadgetFolder } from './folder.js';
import { type Plan, planBuild } from './plan.js';

/** Plans the build of a folder with these files, a name each or a name and what it holds. */
function plan(...files: (string | readonly [string, string])[]): Plan {
  const root = temporaryDirectory();
  for (const file of ['gadget.yaml', ...files]) {
    const [name, text] = typeof file === 'string' ? [file, ''] : file;
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  const folder = new GadgetFolder(root);
  return planBuild(folder, readBuildFile(folder, undefined), { validate: true, updateMetadata: false });
}

describe('the Wasm source of a folder', () => {
  it.each([
    ['wasm/program.ts', 'assemblyscript'],
    ['wasm/program.js', 'javascript'],
    ['wasm/program.c', 'c'],
    ['wasm/program.rs', 'rust'],
    ['wasm/program.go', 'go'],
    ['wasm/program.cpp', 'c'],
    ['wasm/go.mod', 'go'],
    ['program.wasm', undefined],
  ])('is found as %s', (file, language) => {
    expect(plan(file).wasm).toMatchObject({ file, language });
  });

  it('is one for a package of Go', () => {
    expect(plan('wasm/go.mod', 'wasm/program.go').wasm!.language).toBe('go');
  });

  it('is compiled even if there is a module too', () => {
    expect(plan('wasm/program.c', 'program.wasm').wasm!.file).toBe('wasm/program.c');
  });

  it('is not guessed among several', () => {
    expect(() => plan('wasm/program.ts', 'wasm/program.c', 'wasm/go.mod')).toThrow(
      /^there are several Wasm sources in .*: wasm\/program\.ts \(AssemblyScript\), wasm\/program\.c \(C\), wasm\/go\.mod \(Go\); name one in build\.yaml \(wasm: wasm\/program\.ts\)$/,
    );
    const chosen = plan('wasm/program.ts', 'wasm/program.c', ['build.yaml', 'wasm: wasm/program.c\n']);
    expect(chosen.wasm).toEqual({ file: 'wasm/program.c', language: 'c' });
  });

  it('is in the language that build.yaml names', () => {
    const typescript = plan('wasm/program.ts', ['build.yaml', 'language: typescript\n']);
    expect(typescript.wasm).toEqual({ file: 'wasm/program.ts', language: 'typescript' });
    const named = plan('a/filter', ['build.yaml', 'wasm: a/filter\nlanguage: c\n']);
    expect(named.wasm).toEqual({ file: 'a/filter', language: 'c' });
  });

  it('is refused in a language that nothing tells', () => {
    expect(() => plan('a.zig', ['build.yaml', 'wasm: a.zig\n'])).toThrow(
      /^nothing tells the language of .*a\.zig; name it in build\.yaml \(language: rust\), or compile/,
    );
    expect(() => plan('wasm/program.ts', ['build.yaml', 'language: typscript\n'])).toThrow(
      /build\.yaml:1: language is "typscript", expected one of assemblyscript, typescript, javascript, c, rust, go; did you mean typescript\?$/,
    );
  });
});
