// Tells kernels.js what became of each test as it ends, a line of JSON each, after a mark.

import type { Reporter, TestCase, TestModule, TestSuite } from 'vitest/node';

const MARK = '@result ';

/** As kernels.js reads it. */
function tell(result: { file: string; group: string; name: string; state: string; note: string }): void {
  process.stdout.write(`${MARK}${JSON.stringify(result)}\n`);
}

export default class KernelReporter implements Reporter {
  onTestCaseResult(test: TestCase): void {
    const result = test.result();
    const group = test.parent.type === 'suite' ? test.parent.fullName : '';
    const note =
      result.state === 'skipped' ? result.note : result.errors?.map(({ message }) => message).join('\n');
    tell({
      file: test.module.relativeModuleId,
      group,
      name: test.name,
      state: result.state,
      note: note ?? '',
    });
  }

  onTestSuiteResult(suite: TestSuite): void {
    for (const { message } of suite.errors())
      this.fail(suite.module.relativeModuleId, message, suite.fullName);
  }

  onTestModuleEnd(module: TestModule): void {
    for (const { message } of module.errors()) this.fail(module.relativeModuleId, message);
  }

  onTestRunEnd(_: readonly TestModule[], errors: readonly { message: string }[]): void {
    for (const { message } of errors) this.fail('', message);
  }

  private fail(file: string, note: string, group = ''): void {
    tell({ file, group, name: 'error outside of any test', state: 'failed', note });
  }
}
