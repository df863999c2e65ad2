// Ends a test run with why tests were skipped, and a line of its own: `N passed, N failed, N skipped`.

import type { Reporter, TestCase, TestModule } from 'vitest/node';

export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (state: string): number => tests.filter((test) => test.result().state === state).length;
    // A file that cannot even be read, or an error outside of any test, is a failure too.
    const broken = modules.filter(
      (module) => module.state() === 'failed' && module.errors().length > 0,
    ).length;
    for (const test of tests.filter((test) => test.result().state === 'skipped')) {
      process.stdout.write(`SKIPPED ${test.module.relativeModuleId}: ${test.fullName}: ${reason(test)}\n`);
    }
    process.stdout.write(
      `${count('passed')} passed, ${count('failed') + broken + errors.length} failed, ${count('skipped')} skipped\n`,
    );
  }
}

function reason(test: TestCase): string {
  const result = test.result();
  return (result.state === 'skipped' ? result.note : undefined) ?? 'no reason given';
}
