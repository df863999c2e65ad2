// Source of a function that is compiled at run time, for what V8 runs fastest as straight-line code with constants.

import type { Piece } from './byte-writer.js';

/**
 * Lines of a function's body. Text that others chose never gets into the source: whoever adds lines puts only numbers
 * and the names of `value` into them.
 */
export class Code {
  private readonly lines: string[] = [];
  private readonly values: unknown[] = [];

  /** What the source calls `value`. */
  value(value: unknown): string {
    const known = this.values.indexOf(value);
    return `v${known >= 0 ? known : this.values.push(value) - 1}`;
  }

  add(...lines: readonly string[]): void {
    this.lines.push(...lines);
  }

  /** Has `piece` written at `p`, a position in the DataView `out`, which goes on behind it. */
  addPiece({ words, sizeBytes }: Piece): void {
    // No piece has a word that is NaN or −0, so each can be written down as a literal.
    words.forEach((word, i) => this.lines.push(`out.setFloat64(p + ${i * 8}, ${word}, true);`));
    this.lines.push(`p += ${sizeBytes};`);
  }

  /** The function of `parameters` with these lines as its body, which calls `value` by its name. */
  compile(parameters: readonly string[]): unknown {
    const names = this.values.map((_, i) => `v${i}`);
    const source = `'use strict'; return (${parameters.join(', ')}) => {\n${this.lines.join('\n')}\n};`;
    // eslint-disable-next-line @typescript-eslint/no-implied-eval -- that is what this file is for
    return (new Function(...names, source) as (...values: unknown[]) => unknown)(...this.values);
  }
}
