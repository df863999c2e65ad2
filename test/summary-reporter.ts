// Ends a test run with what failed, at the first try or for good, why tests were skipped, and a line of its own:
// `N passed, N failed, N skipped`.

import { stripVTControlCharacters } from 'node:util';
import type { Reporter, TestCase, TestModule } from 'vitest/node';

export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly { readonly message?: string }[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (state: string): number => tests.filter((test) => test.result().state === state).length;
    // A file that cannot even be read, or an error outside of any test, is a failure too.
    const broken = modules.filter((module) => module.state() === 'failed' && module.errors().length > 0);
    for (const module of broken) say('FAILED', module.relativeModuleId, firstLine(module.errors()));
    for (const error of errors) say('FAILED', 'outside of any test', firstLine([error]));
    for (const test of tests.filter((test) => test.result().state === 'failed'))
      say('FAILED', nameOf(test), firstLine(test.result().errors));
    for (const test of tests.filter((test) => test.diagnostic()?.flaky === true))
      say('FAILED ONCE', nameOf(test), firstLine(test.result().errors));
    for (const test of tests.filter((test) => test.result().state === 'skipped'))
      say('SKIPPED', nameOf(test), reason(test));
    process.stdout.write(
      `${count('passed')} passed, ${count('failed') + broken.length + errors.length} failed, ${count('skipped')} skipped\n`,
    );
  }
}

function say(what: string, of: string, why: string): void {
  process.stdout.write(`${what} ${of}: ${why}\n`);
}

function nameOf(test: TestCase): string {
  return `${test.module.relativeModuleId}: ${test.fullName}`;
}

function firstLine(errors: readonly { readonly message?: string }[] | undefined): string {
  return stripVTControlCharacters(errors?.[0]?.message ?? 'no reason given').split('\n')[0]!;
}

function reason(test: TestCase): string {
  const result = test.result();
  return (result.state === 'skipped' ? result.note : undefined) ?? 'no reason given';
}
