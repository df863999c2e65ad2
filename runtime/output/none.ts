// Output mode `none`: counts the records and writes nothing.

import type { Output } from './output.js';

export function noneOutput(): Output {
  return {
    header: () => undefined,
    write: (batch, _writer, rows) => {
      if (rows === undefined) return batch.kept();
      let kept = 0;
      for (const row of rows) kept += batch.keep[row]!;
      return kept;
    },
    usedFields: () => [],
  };
}
