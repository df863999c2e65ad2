// Reads fields of hand-made batches; only for tests.

import { type Batch, Span } from '../data/batch.js';
import type { DataSource } from '../data/data-source.js';
import { locatorOf } from '../data/field.js';

/** The text of a field in each record; undefined where it is. */
export function textsOf(source: DataSource, fullName: string, batch: Batch): (string | undefined)[] {
  const locate = locatorOf(source.field(fullName)!);
  const span = new Span();
  return Array.from({ length: batch.count }, (_, row) =>
    locate(batch, row, span) ? Buffer.from(span.bytes.subarray(span.start, span.end)).toString() : undefined,
  );
}
