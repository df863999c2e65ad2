// `ig gadget test`: shows what became of each test, and ends with status 1 if one was not as expected.

import { writeSync } from 'node:fs';
import { type CaseResult, openTests, runTests } from '../../gadget-test/test-gadget.js';
import { say, visible } from '../fail.js';
import { showBuild } from '../show-build.js';
import type { TestFlags } from './commands.js';

/** Throws BuildError, MetadataError, GadgetTestError; also when a test fails. */
export async function testGadget(
  path: string,
  { update = false, verbose = false }: TestFlags,
): Promise<void> {
  const tests = await showBuild((listener) => openTests(path, listener));
  const results: CaseResult[] = [];
  const passed = await runTests(tests, update, {
    warn: (sentence) => say(`Warning: ${sentence}`),
    log: (sentence) => {
      if (verbose) say(sentence);
    },
    result: (result) => {
      results.push(result);
      writeSync(1, visible(textOf(result)));
    },
  });
  if (passed) return;
  const failed = results.filter(({ outcome }) => outcome !== 'same');
  const hint = failed.some(({ outcome }) => outcome !== 'failed')
    ? `; if what was found is right, \`ig gadget test ${path} --update\` makes it what is expected`
    : '';
  throw new Error(`${failed.length} of ${results.length} tests failed${hint}`);
}

function textOf({ name, events, expected, outcome, detail }: CaseResult): string {
  const count = `${events} event${events === 1 ? '' : 's'}`;
  switch (outcome) {
    case 'same':
      return `${name}: passed, ${count}\n`;
    case 'updated':
      return `${name}: wrote ${count} into ${expected}\n`;
    case 'missing':
      return `${name}: failed, as there is no ${expected} to compare ${count} with\n`;
    case 'failed':
      return `${name}: failed: ${detail.join('\n')}\n`;
    case 'different':
      return `${name}: failed, not as in ${expected} (- expected, + found)\n${detail.map((line) => `  ${line}\n`).join('')}`;
  }
}
