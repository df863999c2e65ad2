// docs/write-a-wasm-filter.md and docs/write-a-gadget.md: the commands they begin with run, in order, and print what
// the guides show.

import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeMachines, printed, readSteps, runStep, shown } from '../registry/guide.js';
import { createTemporaryDirectory, removeDirectory } from '../registry/images.js';

/** The part of a guide whose commands are run: up to this heading. */
const GUIDES = [
  ['write-a-gadget.md', '\n## A complete one\n'],
  ['write-a-wasm-filter.md', '\n## Languages\n'],
] as const;

describe.each(GUIDES)('docs/%s', (file, end) => {
  const markdown = readFileSync(new URL(`../../docs/${file}`, import.meta.url), 'utf8');
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
