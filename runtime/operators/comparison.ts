// Compares located values with one that was written down, without decoding them.

import type { Span } from '../data/batch.js';
import { type Field, numberReaderOf } from '../data/field.js';
import type { Kind } from '../data/kind.js';
import { OperatorError } from './errors.js';

/** Below 0, 0 or above 0 as the value at the span is smaller, equal or larger; NaN when they have no order. */
export type Comparison = (span: Span) => number;

/** Compares a number with `literal`, exactly for 64-bit integers too. Throws OperatorError. */
export function numberComparison(field: Field, literal: string): Comparison {
  const { kind } = field;
  const read = numberReaderOf(kind);
  if (kind === 'float32' || kind === 'float64') {
    const value = Number(literal);
    if (literal === '' || Number.isNaN(value)) throw notANumber(field, literal, 'a number', '1.5');
    const wanted = kind === 'float32' ? Math.fround(value) : value;
    return (span) => {
      const found = read(span);
      return found === wanted ? 0 : found - wanted;
    };
  }
  if (!/^-?(\d+|0[xX][0-9a-fA-F]+)$/.test(literal))
    throw notANumber(field, literal, 'a whole number', '1000');
  const value = literal.startsWith('-') ? -BigInt(literal.slice(1)) : BigInt(literal);
  if (kind === 'uint64' || kind === 'int64') return wideComparison(kind, value);
  // A value that a double does not hold exactly is far outside of these kinds' range.
  const wanted = Number(value);
  return (span) => read(span) - wanted;
}

function notANumber(field: Field, literal: string, what: string, example: string): OperatorError {
  return new OperatorError(
    `cannot compare ${field.fullName} with "${literal}", since it is ${what}; for example ${field.fullName}==${example}`,
  );
}

function wideComparison(kind: 'uint64' | 'int64', value: bigint): Comparison {
  const [least, most] = kind === 'uint64' ? [0n, 2n ** 64n - 1n] : [-(2n ** 63n), 2n ** 63n - 1n];
  if (value < least) return () => 1;
  if (value > most) return () => -1;
  const low = Number(BigInt.asUintN(32, value));
  const high = Number(value >> 32n);
  const isSigned = kind === 'int64';
  return (span) => {
    const foundHigh = isSigned
      ? span.view.getInt32(span.start + 4, true)
      : span.view.getUint32(span.start + 4, true);
    return foundHigh === high ? span.view.getUint32(span.start, true) - low : foundHigh - high;
  };
}

const SPACE = 0x20;

/** Whether a text is `literal`, byte by byte; a list of strings counts as its words with spaces between. */
export function textEquality(literal: string, kind: Kind): (span: Span) => boolean {
  const compare = textComparison(literal, kind);
  const size = Buffer.byteLength(literal);
  if (kind === 'strings') return (span) => compare(span) === 0;
  return (span) => span.end - span.start === size && compare(span) === 0;
}

/** Compares a text with `literal` by bytes, which for UTF-8 is the order of code points. */
export function textComparison(literal: string, kind: Kind): Comparison {
  const wanted = Buffer.from(literal);
  const nul = kind === 'strings' ? SPACE : 0;
  return ({ bytes, start, end }) => {
    const isTerminated = kind === 'strings' && end > start && bytes[end - 1] === 0;
    const size = isTerminated ? end - start - 1 : end - start;
    const common = Math.min(size, wanted.length);
    for (let i = 0; i < common; i++) {
      const found = bytes[start + i]!;
      const difference = (found === 0 ? nul : found) - wanted[i]!;
      if (difference !== 0) return difference;
    }
    return size - wanted.length;
  };
}
