// docs/publish-a-gadget.md: every command in it runs, in order, and prints what the guide shows.

import { copyFileSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Step, makeMachines, printed, readSteps, runStep, shown } from './guide.js';
import { createTemporaryDirectory, removeDirectory } from './images.js';
import { type RunningRegistry, startRegistry } from './registry.js';

const GUIDE = fileURLToPath(new URL('../../docs/publish-a-gadget.md', import.meta.url));
const REGISTRY = 'localhost:5000';
const LOGIN = { username: 'alice', password: 's3cret' };

const markdown = readFileSync(GUIDE, 'utf8');
const steps = readSteps(markdown);
let root: string;
let registry: RunningRegistry;

beforeAll(async () => {
  root = createTemporaryDirectory();
  registry = await startRegistry({ login: LOGIN });
  makeMachines(root);
});
afterAll(async () => {
  await registry.stop();
  removeDirectory(root);
});

/** The registry has another port here. */
async function run(step: Step): Promise<{ output: string; status: number | null }> {
  const commands = step.commands.replaceAll(REGISTRY, registry.host);
  const { output, status } = await runStep(root, { ...step, commands });
  return { output: output.replaceAll(registry.host, REGISTRY), status };
}

/** What somebody would copy to the other machine: the public key, the archive. */
function carry(): void {
  const work = join(root, 'here/work');
  const files = readdirSync(work).filter((name) => /\.(pub|tar)$/.test(name));
  for (const name of files) copyFileSync(join(work, name), join(root, 'elsewhere/work', name));
}

it('has steps on both machines', () => {
  expect(steps.filter(({ machine }) => machine === 'here').length).toBeGreaterThan(5);
  expect(steps.filter(({ machine }) => machine === 'elsewhere').length).toBeGreaterThan(2);
  // A block that the pattern above overlooks would not be run.
  expect(steps.length).toBe(markdown.match(/^```sh/gm)?.length);
});

it.each(steps)('line $line does what it says', async (step) => {
  if (step.machine === 'elsewhere') carry();
  const { output, status } = await run(step);
  expect({ output, status: step.fails ? status !== 0 : status }).toEqual({
    output,
    status: step.fails ? true : 0,
  });
  if (step.output !== '') expect(printed(output)).toMatch(shown(step.output));
});
