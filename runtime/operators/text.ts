// Texts that operators put in place of numbers, encoded once and used again.

import type { Span } from '../data/batch.js';

const ENCODER = new TextEncoder();

/** An encoded text that a span can be set to. */
export class Text {
  readonly bytes: Uint8Array;
  private readonly view: DataView;

  constructor(text: string) {
    this.bytes = ENCODER.encode(text);
    this.view = new DataView(this.bytes.buffer);
  }

  put(span: Span): void {
    span.set(this.bytes, this.view, 0, this.bytes.length);
  }
}

/** Bounds what an endless variety of values can make a table hold. */
const MAX_TEXTS = 4096;

interface Entry<T> {
  readonly value: T;
  readonly text: Text;
}

/** The texts of values, each made when its value is first seen. */
export class TextTable<T extends number | string = number> {
  private readonly texts = new Map<T, Entry<T>>();
  private readonly textOf: (value: T) => string;
  /** Of the last value: the next one is often the same. */
  private last: Entry<T> | undefined;

  constructor(textOf: (value: T) => string) {
    this.textOf = textOf;
  }

  /** Sets the span to the text of `value`. */
  put(value: T, span: Span): void {
    let { last } = this;
    if (last?.value !== value) {
      last = this.texts.get(value) ?? this.make(value);
      this.last = last;
    }
    last.text.put(span);
  }

  private make(value: T): Entry<T> {
    if (this.texts.size >= MAX_TEXTS) this.texts.clear();
    const entry = { value, text: new Text(this.textOf(value)) };
    this.texts.set(value, entry);
    return entry;
  }
}

/** Bytes that a span can be set to, written anew for every value. */
export class Scratch {
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(sizeBytes: number) {
    this.bytes = new Uint8Array(sizeBytes);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Sets the span to a text that a number had to be made a string for; cut when it is too long. */
  putString(text: string, span: Span): void {
    span.set(this.bytes, this.view, 0, ENCODER.encodeInto(text, this.bytes).written);
  }
}
