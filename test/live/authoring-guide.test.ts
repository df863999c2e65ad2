// docs/write-a-wasm-filter.md and docs/write-a-gadget.md: the commands they begin with run, in order, and print what
// the guides show; the filter that the first makes is the same in every language.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Ended, runIg } from '../ig.js';
import { makeMachines, printed, readSteps, runStep, shown } from '../registry/guide.js';
import { createTemporaryDirectory, removeDirectory } from '../registry/images.js';

const [FILTER_GUIDE, OTHER_LANGUAGES] = ['write-a-wasm-filter.md', '\n### The same in other languages\n'];

/** The part of a guide whose commands are run: up to this heading. */
const GUIDES = [
  ['write-a-gadget.md', '\n## A complete one\n'],
  [FILTER_GUIDE, '\n## Languages\n'],
] as const;

function read(file: string): string {
  return readFileSync(new URL(`../../docs/${file}`, import.meta.url), 'utf8');
}

describe.each(GUIDES)('docs/%s', (file, end) => {
  const markdown = read(file);
  const part = markdown.slice(0, markdown.indexOf(end));
  const steps = readSteps(part);
  let root: string;
  beforeAll(() => {
    root = createTemporaryDirectory();
    makeMachines(root);
  });
  afterAll(() => removeDirectory(root));

  it('has commands', () => {
    expect(markdown).toContain(end);
    expect(steps.length).toBe(part.match(/^```sh/gm)?.length);
  });

  it.each(steps)('line $line does what it says', async (step) => {
    const { output, status } = await runStep(root, step);
    expect({ output, status: step.fails ? status !== 0 : status }).toEqual({
      output,
      status: step.fails ? true : 0,
    });
    if (step.output !== '') expect(printed(output)).toMatch(shown(step.output));
  });
});

describe('the filter of the guide', () => {
  const root = createTemporaryDirectory();
  afterAll(() => removeDirectory(root));
  /** With a cache of its own. */
  const ig = (...args: string[]): Promise<Ended> => {
    const mount = 'mount --bind "$0" /var/lib && exec "$@"';
    return runIg(args, { inside: ['unshare', '-m', 'sh', '-c', mount, root] });
  };
  const guide = read(FILTER_GUIDE);
  const others = guide.slice(guide.indexOf(OTHER_LANGUAGES), guide.indexOf('\n## Tests\n'));
  const file = (name: string): string =>
    new RegExp(`cat > my-filter/${name} <<'END'\\n([^]*?)END\\n`).exec(guide)![1]!;
  const expected = /^\{"runtime".*\}\n(?=[^]*?^```$)/gm;

  it.for([
    ['javascript', 'ts', 'program.js'],
    ['c', 'c', 'program.c'],
    ['rust', 'rust', 'program.rs'],
    ['go', 'go', 'program.go'],
  ] as const)('does the same in %s', async ([language, fence, name], { skip }) => {
    const [, program] = new RegExp(`^\`\`\`${fence}\\n([^]*?)^\`\`\``, 'm').exec(others)!;
    const folder = join(root, language);
    const made = await ig('gadget', 'new', folder, '--filter', '--lang', language);
    expect(made.status).toBe(0);
    writeFileSync(join(folder, 'wasm', name), program!);
    writeFileSync(join(folder, 'test/test.yaml'), file('test/test.yaml'));
    writeFileSync(join(folder, 'test/shells.expected.jsonl'), guide.match(expected)!.slice(0, 3).join(''));
    const tested = await ig('gadget', 'test', folder);
    const missing = /^Error: cannot compile .*: (.*\b(?:get it with|install)\b.*)$/m.exec(tested.stderr);
    if (missing !== null) skip(missing[1]);
    expect(tested.stdout).toBe('shells: passed, 3 events\n');
  });
});
