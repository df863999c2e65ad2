// From `ig gadget new` to events, with ig as built: in each language whose compiler is on this machine.

import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LANGUAGES, type Language, titleOf } from '../../runtime/build/language.js';
import { type Ended, type ExecEvent, IG, Ig, type IgOptions, parseEvents, runIg } from '../ig.js';
import { createTemporaryDirectory, removeDirectory, temporaryDirectory } from '../registry/images.js';
import { type RunningRegistry, startRegistry } from '../registry/registry.js';

const ADDON = fileURLToPath(new URL('../../dist/bpf/addon/ig_bpf.node', import.meta.url));
const NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];

/** Where folders are made, and what stands in for /var/lib. */
let root: string;
let varLib: string;
beforeAll(() => {
  root = createTemporaryDirectory();
  varLib = join(root, 'var-lib');
  mkdirSync(varLib);
});
afterAll(() => removeDirectory(root));

/** In `root`, with a store of its own. */
function privately(env: NodeJS.ProcessEnv = {}): IgOptions {
  const mount = 'mount --bind "$0" /var/lib && exec "$@"';
  return { inside: ['unshare', '-m', 'sh', '-c', mount, varLib], cwd: root, env };
}

function ig(...args: string[]): Promise<Ended> {
  return runIg(args, privately());
}

/** The sentence it fails with. */
async function refusal(...args: string[]): Promise<string> {
  const { status, stderr } = await ig(...args);
  expect(status).not.toBe(0);
  expect(stderr).not.toMatch(/\n\s+at |undefined|\[object/);
  return stderr.slice(stderr.indexOf('Error: ')).trimEnd();
}

function expectDone({ status, stderr }: Ended): void {
  expect(stderr).not.toMatch(/Error|Warning/);
  expect(status).toBe(0);
}

/** Makes a folder in `root`, by `ig gadget new`. */
async function make(name: string, language: Language, ...flags: string[]): Promise<Ended> {
  return ig('gadget', 'new', name, '--lang', language, ...flags);
}

/** The same outside of a test. */
function igAtOnce(...args: string[]): void {
  const [program, ...words] = [...privately().inside!, process.execPath, IG, ...args];
  execFileSync(program!, words, { cwd: root, stdio: 'pipe' });
}

/** Runs a program for each name, which is also its comm. Returns the directory they lie in. */
function runPrograms(...names: string[]): string {
  const directory = temporaryDirectory();
  for (const name of names) {
    copyFileSync('/bin/true', join(directory, name));
    execFileSync(join(directory, name));
  }
  return directory;
}

describe('a new filter', () => {
  const made: Language[] = [];

  it.for(LANGUAGES)(
    'in %s passes its test, and becomes an image',
    { timeout: 180_000 },
    async (language, { skip }) => {
      const { stdout } = await make(language, language, '--filter');
      const [, manual] = / can call: (.*\/README\.md)\n$/.exec(stdout)!;
      expect(readFileSync(manual!, 'utf8')).toMatch(/^# .* in .*(?:C|Rust|Go|Script)$/m);
      expect(stdout).toBe(`Wrote ./${language}: ${filesIn(join(root, language)).join(', ')}

Next:
  ig gadget test ./${language}
  sudo ig run trace_exec --host --wasm ./${language}

All that a program in ${titleOf(language)} can call: ${manual}
`);
      renameField(join(root, language), 'directory', `dir_${language}`);
      const tested = await ig('gadget', 'test', `./${language}`);
      const missing = /^Error: cannot compile .*: (.*\b(?:get it with|install)\b.*)$/m.exec(tested.stderr);
      if (missing !== null) skip(missing[1]);
      expectDone(tested);
      expect(tested.stdout).toBe('all: passed, 7 events\nhide: passed, 5 events\n');
      const built = await ig('image', 'build', language, '-t', `me/${language}:v1`);
      expectDone(built);
      expect(built.stdout).toMatch(/^Successfully built ghcr\.io\/me\//);
      made.push(language);
    },
  );

  it('runs on trace_exec, behind others', async () => {
    expect(made.length).toBeGreaterThan(0);
    const filters = made.flatMap((language) => ['--wasm', `me/${language}:v1`]);
    const flags = ['--host', '-o', 'json', ...filters, '--wasm-param', 'hide=ig-h'];
    const traced = await Ig.tracing(['run', 'trace_exec', ...flags], privately());
    const directory = runPrograms('ig-hidden', 'ig-shown');
    const find = (): (ExecEvent & Record<string, unknown>) | undefined =>
      (traced.events() as (ExecEvent & Record<string, unknown>)[]).find(
        ({ proc }) => proc.comm === 'ig-shown',
      );
    await traced.until(() => find() !== undefined);
    expect(find()).toMatchObject(Object.fromEntries(made.map((language) => [`dir_${language}`, directory])));
    const { stdout, stderr } = await traced.stop();
    expect(stdout).not.toContain('"ig-hidden"');
    expect(stderr).not.toMatch(/Warning|failed/);
  });
});

/** The files of a folder, as `ig gadget new` lists them. */
function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

/** In the sources and in what the tests expect. */
function renameField(folder: string, from: string, to: string): void {
  for (const file of filesIn(folder).filter((name) => !name.endsWith('.ig'))) {
    const path = join(folder, file);
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll(from, to));
  }
}

describe('a new gadget', () => {
  beforeAll(() => igAtOnce('gadget', 'new', 'trace-mine', '--lang', 'c'));

  it('passes its test', async () => {
    const tested = await ig('gadget', 'test', 'trace-mine');
    expectDone(tested);
    expect(tested.stdout).toBe('all: passed, 7 events\nhide: passed, 5 events\n');
  });

  it('runs from its folder, and leaves no image behind', async () => {
    const traced = await Ig.tracing(
      ['run', './trace-mine', '--host', '-o', 'json', '--hide', 'ig-h'],
      privately({ TMPDIR: temporaryDirectory() }),
    );
    const directory = runPrograms('ig-hidden', 'ig-shown');
    const shown = (): ExecEvent | undefined => traced.events().find(({ proc }) => proc.comm === 'ig-shown');
    await traced.until(() => shown() !== undefined);
    expect(shown()).toMatchObject({ directory, filename: join(directory, 'ig-shown') });
    const { stdout, stderr } = await traced.stop();
    expect(stdout).not.toContain('"ig-hidden"');
    expect(stderr).toMatch(/^Image sha256:[0-9a-f]{64}, from layout \.\/trace-mine$/m);
    expect((await ig('image', 'list', '-o', 'json')).stdout).not.toContain('trace-mine');
  });

  it('shows its flags and fields', async () => {
    const { stdout } = await ig('run', './trace-mine', '-h');
    expect(stdout).toMatch(/^trace-mine: Show which programs are executed/);
    expect(stdout).toMatch(/^ {2}--hide <string> +Leave out commands/m);
    expect(stdout).toMatch(/^ +\* directory +string +The directory/m);
  });
});

describe('ig gadget test', () => {
  let folder: string;
  /** Compiled once: a folder may hold the module itself. */
  beforeAll(() => {
    folder = join(root, 'tested');
    igAtOnce('gadget', 'new', 'tested', '--lang', 'c', '--filter');
    igAtOnce('image', 'build', 'tested', '-o', folder);
    for (const name of ['wasm', 'build.yaml']) rmSync(join(folder, name), { recursive: true });
  });

  it('needs no root, no native addon, and can be asked within the folder', async () => {
    const open = temporaryDirectory();
    cpSync(folder, join(open, 'mine'), { recursive: true });
    execFileSync('chown', ['-R', '65534:65534', open]);
    const mounts = 'mount --bind /dev/null "$0" && exec "$@"';
    const tested = await runIg(['gadget', 'test'], {
      inside: ['unshare', '-m', 'sh', '-c', mounts, ADDON, ...NOBODY],
      cwd: join(open, 'mine'),
      env: { HOME: open, TMPDIR: open },
    });
    expectDone(tested);
    expect(tested.stdout).toBe('all: passed, 7 events\nhide: passed, 5 events\n');
    expect(readdirSync(open).sort()).toEqual(['.ig', 'mine']);
  });

  it('shows what is different, until that is taken for what is expected', async () => {
    const path = join(folder, 'test/hide.expected.jsonl');
    const before = readFileSync(path, 'utf8');
    const lines = before.trimEnd().split('\n');
    const wrong = lines[1]!.replace('cat', 'dog');
    writeFileSync(path, [lines[0], wrong, ...lines.slice(2)].join('\n'));
    const tested = await ig('gadget', 'test', './tested');
    expect(tested.stdout).toBe(`all: passed, 7 events
hide: failed, not as in tested/test/hide.expected.jsonl (- expected, + found)
    ${lines[0]}
  - ${wrong}
  + ${lines[1]}
    ${lines[2]}
`);
    expect(tested.stderr).toContain(
      'Error: 1 of 2 tests failed; if what was found is right, `ig gadget test ./tested --update` makes it what is expected\n',
    );
    expect(tested.status).toBe(1);

    const updated = await ig('gadget', 'test', './tested', '--update');
    expectDone(updated);
    expect(updated.stdout).toBe(
      `all: passed, 7 events\nhide: wrote 5 events into tested/test/hide.expected.jsonl\n`,
    );
    expect(readFileSync(path, 'utf8')).toBe(before);
  });

  it('replays every recording if no tests are named, and wants all fields', async () => {
    cpSync(folder, join(root, 'unnamed'), { recursive: true });
    const test = join(root, 'unnamed/test');
    for (const file of readdirSync(test).filter((name) => !name.endsWith('.ig'))) rmSync(join(test, file));
    const first = await ig('gadget', 'test', 'unnamed');
    expect(first.stdout).toBe(
      'execs: failed, as there is no unnamed/test/execs.expected.jsonl to compare 7 events with\n',
    );
    expect(first.status).toBe(1);
    expectDone(await ig('gadget', 'test', 'unnamed', '--update'));
    const events = parseEvents(readFileSync(join(test, 'execs.expected.jsonl'), 'utf8'));
    expect(events[0]!.proc.parent.comm).toBe('node');
    expect((await ig('gadget', 'test', 'unnamed')).stdout).toBe('execs: passed, 7 events\n');
  });

  it.each([
    ['datasource: exe', 'test.yaml:1: there is no data source exe; did you mean exec?'],
    ['fields: [proc.com]', 'test.yaml:1: there is no field proc.com; did you mean proc.comm?'],
    [
      'params: { hid: x }',
      'test.yaml:1: there is no parameter hid, expected one of hide; did you mean hide?',
    ],
  ])('says which test is wrong: %s', async (line, sentence) => {
    cpSync(folder, join(root, 'wrong'), { recursive: true });
    writeFileSync(join(root, 'wrong/test/test.yaml'), `all:\n  recording: execs.ig\n  ${line}\n`);
    const { stdout, status } = await ig('gadget', 'test', 'wrong');
    expect(stdout).toContain(`all: failed: wrong/test/${sentence}\n`);
    expect(status).toBe(1);
  });

  it('fails with a module that does', async () => {
    await make('failing', 'c', '--filter');
    const program = join(root, 'failing/wasm/program.c');
    writeFileSync(program, readFileSync(program, 'utf8').replace('return true;', '__builtin_trap();'));
    const { stdout, stderr, status } = await ig('gadget', 'test', 'failing');
    expect(stdout).toMatch(
      /^all: failed: the Wasm part failed, and lost \d+ of the events in failing\/test\/execs\.ig$/m,
    );
    expect(stderr).toMatch(/^Warning: .*unreachable/m);
    expect(status).toBe(1);
  });
});

describe('what cannot be', () => {
  it('is told in a sentence', async () => {
    await make('there', 'c', '--filter');
    expect(await refusal('gadget', 'new', 'there', '--lang', 'c')).toBe(
      'Error: cannot make the folder there: it is there already, and nothing in it is overwritten',
    );
    expect(await refusal('gadget', 'new', 'New', '--lang', 'c')).toMatch(
      /^Error: "New" is no name for a gadget: take/,
    );
    expect(existsSync(join(root, 'New'))).toBe(false);
    expect(await refusal('gadget', 'new', 'x')).toBe(
      `Error: --lang is missing: the language of the Wasm part, ${LANGUAGES.join(', ')}`,
    );
    expect(await refusal('gadget', 'new', 'x', '--lang', 'zig')).toContain(
      'Allowed choices are assemblyscript, typescript, javascript, c, rust, go.',
    );
    expect(await refusal('gadget', 'test', 'nowhere')).toMatch(/^Error: there is no folder nowhere /);
    expect(await refusal('gadget', 'test', 'there/wasm')).toMatch(
      /^Error: there is no recording in there\/wasm\/test /,
    );
    expect(await refusal('run', './there', '--host')).toMatch(
      /^Error: \.\/there makes a filter, .* as in `ig run trace_exec --wasm \.\/there`$/,
    );
    expect(await refusal('run', 'there/wasm', '--host', '--pull', 'never')).toMatch(
      /^Error: there\/wasm names an image, not the folder here, which \.\/there\/wasm builds; but there is no image /,
    );
  });

  it('is told with what is to be installed', async () => {
    await make('uncompiled', 'c', '--filter');
    const { stderr, status } = await runIg(['image', 'build', 'uncompiled'], {
      ...{ inside: ['env', 'PATH=/nonexistent'], cwd: root },
    });
    expect(stderr).toMatch(
      /^Error: cannot compile uncompiled\/wasm\/program\.c: there is no clang .*; get it with: apt install clang lld; or compile it elsewhere, and name the module in build\.yaml \(wasm: program\.wasm\)\n$/,
    );
    expect(status).toBe(1);
  });
});

describe('the image of a filter', () => {
  let registry: RunningRegistry;
  beforeAll(async () => {
    registry = await startRegistry();
  });
  afterAll(() => registry.stop());

  it('is signed, moved and trusted as that of a gadget', async () => {
    await make('moved', 'c', '--filter');
    const name = `${registry.host}/me/moved:v1`;
    const insecure = ['--insecure-registries', registry.host];
    expectDone(await ig('image', 'build', 'moved', '-t', name));
    expectDone(await ig('image', 'push', name, ...insecure));
    expectDone(await ig('image', 'remove', name));
    const run = [
      'run',
      'trace_exec',
      '--host',
      '--timeout',
      '0.1',
      '-o',
      'none',
      '--wasm',
      name,
      ...insecure,
    ];
    const key = join(root, 'key');
    expectDone(await ig('image', 'generate-key', '--no-password', '-o', key));
    const trusted = ['--public-keys', `${key}.pub`];
    expect(await refusal(...run, ...trusted)).toMatch(/moved:v1.*signature/);
    expectDone(await ig('image', 'sign', name, '--key', `${key}.key`, ...insecure));
    expectDone(await ig(...run, ...trusted));
    expectDone(await ig('image', 'verify', name, ...insecure, ...trusted));
    const { stdout } = await ig('image', 'inspect', name, '-o', 'json');
    expect(JSON.parse(stdout)).toMatchObject({ wasm: { form: 'component', upcalls: [] } });
    expect(stdout).not.toContain('"ebpf"');
    expect(await refusal('run', name, '--host', ...trusted)).toMatch(
      /it is a filter for the events of others/,
    );
  });
});
