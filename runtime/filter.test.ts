import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse as parseWat } from '@bytecodealliance/jco-transpile/wasm-tools';
import { describe, expect, it } from 'vitest';
import { buildGadgetImage } from '../oci/gadget-image.js';
import { Layout } from '../oci/layout.js';
import { temporaryDirectory } from '../test/registry/images.js';
import { BuildError } from './build/errors.js';
import { loadConfig } from './config/config.js';
import { type Filter, openFilter } from './filter.js';

const MODULE = await parseWat(`(module
  (memory (export "memory") 1)
  (func (export "gadgetAPIVersion") (result i64) (i64.const 1)))`);

interface Given {
  readonly allowed?: string;
  readonly says?: string[];
  readonly verbose?: boolean;
}

async function open(name: string, { allowed = '', says = [], verbose = false }: Given = {}): Promise<Filter> {
  const allowedGadgets = allowed === '' ? [] : [allowed];
  const config = await loadConfig({ allowedGadgets, pull: 'never' }, { HOME: '/nonexistent' });
  return openFilter(name, {
    ...{ config, storePath: '/nonexistent', validateMetadata: true, verbose },
    compilerSays: (text) => void says.push(text),
  });
}

/** A folder of sources with these files. */
function folder(files: Readonly<Record<string, string | Uint8Array>>): string {
  const root = join(temporaryDirectory(), 'my-filter');
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), content);
  }
  return root;
}

const METADATA = `name: quiet
params:
  wasm:
    prefix: { key: hide, defaultValue: ig, description: Whom to leave out }
    limit: { type: uint32, isMandatory: true }
paramDefaults:
  operator.oci.wasm.limit: 7
`;
const PARAMS = [
  expect.objectContaining({ key: 'hide', type: 'string', defaultValue: 'ig', mandatory: false }) as unknown,
  expect.objectContaining({ key: 'limit', type: 'uint32', defaultValue: '7', mandatory: false }) as unknown,
];

describe('a filter', () => {
  it('is a module in a file', async () => {
    const path = join(folder({ 'my.wasm': MODULE }), 'my.wasm');
    expect(await open(path)).toEqual({ name: 'my', bytes: Buffer.from(MODULE), params: [] });
    await expect(open('/nonexistent/my.wasm')).rejects.toThrow(
      /^cannot read the Wasm module \/nonexistent\/my\.wasm: there is no such file$/,
    );
    await expect(open(folder({ 'x.wasm/y': '' }) + '/x.wasm')).rejects.toThrow(/: it is no file$/);
  });

  it('is no other file, such as a source', async () => {
    const source = join(folder({ 'wasm/program.c': 'no C' }), 'wasm/program.c');
    await expect(open(source)).rejects.toThrow(
      /; --wasm takes a module \(FILE\.wasm\), a folder of sources \(\.\/FOLDER\) or an image$/,
    );
    const archive = join(folder({ 'cut.tar': 'no archive' }), 'cut.tar');
    await expect(open(archive)).rejects.toThrow(/is not a complete tar file \([^;]*\)$/);
  });

  it('is what a folder builds to, whatever else a gadget has there', async () => {
    const path = folder({ 'program.wasm': MODULE, 'program.bpf.c': 'no C', 'gadget.yaml': METADATA });
    expect(await open(path)).toEqual({
      name: 'quiet',
      bytes: Buffer.from(MODULE),
      params: PARAMS,
    });
    const bare = await open(`${folder({ 'program.wasm': MODULE })}/`);
    expect(bare).toMatchObject({ name: 'my-filter', params: [] });
  });

  it('shows what the compiler says when that fails', async () => {
    const says: string[] = [];
    const path = folder({ 'wasm/program.ts': 'let x: u32 = nobody;\n' });
    const sentence = `the compiler for AssemblyScript could not compile ${path}/wasm/program.ts; see what it says above`;
    await expect(open(path, { says })).rejects.toThrow(
      new BuildError(`${sentence}; if it is TypeScript, say so in build.yaml (language: typescript)`),
    );
    expect(says.join('')).toContain("Cannot find name 'nobody'");
    writeFileSync(join(path, 'build.yaml'), 'language: assemblyscript\n');
    await expect(open(path)).rejects.toThrow(new BuildError(sentence));
  });

  it('names what is wrong with its folder', async () => {
    await expect(open(folder({ 'gadget.yaml': 'name: x\n' }))).rejects.toThrow(
      /^there is no Wasm source in /,
    );
    const wrong = folder({ 'program.wasm': MODULE, 'gadget.yaml': 'name: x\nparam: {}\n' });
    await expect(open(wrong)).rejects.toThrow(/gadget\.yaml:2: .*unknown key "param"/);
  });

  it('is an image, of which the Wasm module alone counts', async () => {
    const layout = new Layout(join(temporaryDirectory(), 'layout'));
    const metadata = Buffer.from(METADATA);
    const platforms = ['amd64', 'arm64'].map((architecture) => ({
      ...{ architecture, wasm: MODULE, ebpf: Buffer.from('no ELF') },
    }));
    await buildGadgetImage(layout, { ref: 'quiet', metadata, platforms });
    expect(await open(layout.root)).toEqual({
      name: 'quiet',
      bytes: Buffer.from(MODULE),
      params: PARAMS,
    });
    const without = platforms.map(({ wasm: _, ...rest }) => rest);
    await buildGadgetImage(layout, { ref: 'deaf', metadata, platforms: without });
    await expect(open(`${layout.root}:ghcr.io/inspektor-gadget/gadget/deaf:latest`)).rejects.toThrow(
      'the image of deaf has no Wasm module, so it is no filter',
    );
  });

  it('must be allowed', async () => {
    const path = folder({ 'my.wasm': MODULE, 'program.wasm': MODULE });
    for (const name of [path, `${path}/my.wasm`, 'ghcr.io/me/other']) {
      await expect(open(name, { allowed: 'ghcr.io/me/quiet:v1' })).rejects.toThrow(
        /is not among the gadgets allowed/,
      );
    }
  });

  it('is looked for as an image where the name is no path', async () => {
    await expect(open('me/no-such')).rejects.toThrow(/^there is no image ghcr\.io\/me\/no-such:latest in /);
    await expect(open('wasm/sdk')).rejects.toThrow(
      /^wasm\/sdk names an image, not the folder here, which \.\/wasm\/sdk builds; but /,
    );
  });
});
