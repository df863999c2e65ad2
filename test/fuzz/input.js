// Makes choices out of an input's bytes, so that bytes that are mutated become structures that are. All bytes are valid.

import { KINDS } from '../../dist/runtime/data/kind.js';

/** Parts of names that mean something to somebody: to JavaScript, YAML, or our own tables. */
const NAMES = [
  ...[
    'a',
    'b',
    'comm',
    'pid',
    'uid',
    'gid_raw',
    'time_raw',
    'error_raw',
    '__proto__',
    'constructor',
    'toString',
  ],
  ...[
    'k8s',
    'node',
    'runtime',
    'containerName',
    'user',
    'container_user',
    '',
    'yes',
    '1',
    '-1',
    'null',
    '#',
    'é',
    '日本',
    '"',
    "'",
    '\\',
  ],
];
/** What no name may have, as it would drive a terminal, or break a line. */
const UNFIT = [...[' ', '\u0001', '\x1b[2J', '\x7f', '\u009b31m', '\u202e', '\u2028', '\ufffe', '\n', ': ']];

export class Input {
  #bytes;
  #at = 0;

  constructor(bytes) {
    this.#bytes = bytes;
  }

  get left() {
    return this.#bytes.length - this.#at;
  }

  /** 0 when there is nothing left, as with all that follow. */
  byte() {
    return this.#at < this.#bytes.length ? this.#bytes[this.#at++] : 0;
  }

  u32() {
    return (this.byte() | (this.byte() << 8) | (this.byte() << 16) | (this.byte() << 24)) >>> 0;
  }

  u64() {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }

  /** From 0 up to `limit`, exclusive. */
  below(limit) {
    return (limit > 256 ? this.u32() : this.byte()) % limit;
  }

  /** True once in `times`. */
  once(times) {
    return this.below(times) === times - 1;
  }

  choose(list) {
    return list[this.below(list.length)];
  }

  /** That many bytes, or what is left. */
  take(count) {
    const end = Math.min(this.#at + count, this.#bytes.length);
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  rest() {
    return this.take(this.left);
  }

  list(most, item) {
    return Array.from({ length: this.below(most + 1) }, (_, i) => item(i));
  }

  kind() {
    return this.choose(KINDS);
  }

  /** A dotted name. */
  name() {
    const parts = this.list(2, () => this.choose(NAMES)).concat(this.choose(NAMES));
    return this.once(40) ? this.choose(UNFIT) + parts.join('.') : parts.join('.');
  }

  /** A text with all that may be in one. */
  text(most = 40) {
    if (this.once(3)) return this.choose(UNFIT) + this.name();
    return Buffer.from(this.take(this.below(most))).toString();
  }
}
