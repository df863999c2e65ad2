// The interface of a formatter: a number of the kernel in, text for a person out.

import type { Span } from '../../data/batch.js';
import type { Field, Locator } from '../../data/field.js';
import type { Kind } from '../../data/kind.js';

export interface FormatterOptions {
  /** What to add to nanoseconds since boot to get nanoseconds since 1970. */
  readonly bootToEpochNs: bigint;
}

/** Replaces the raw value that the span stands at by its text; false when there is none. */
export type Format = (span: Span) => boolean;

export interface Formatter {
  /** Its name in annotation `formatters.NAME.target`. */
  readonly name: string;
  /** The typedef in the gadget's source that asks for it. */
  readonly type: string;
  /** The one kind of number it reads; any integer when left out. */
  readonly kind?: Kind;
  /** Column template of the text. */
  readonly template?: string;
  readonly create: (raw: Field) => Format;
  /** Changes the raw value itself, before it is formatted. */
  readonly rawLocator?: (locate: Locator, options: FormatterOptions) => Locator;
}
