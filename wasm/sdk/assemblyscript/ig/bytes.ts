// A view of bytes in memory: text and bytes of an event are read through it without copying.

/** Copies `size` bytes, as `memory.copy` does, which for a few bytes takes longer: engines leave Wasm for it. */
export function copyBytes(target: usize, start: usize, size: usize): void {
  if (size > 64) {
    memory.copy(target, start, size);
  } else if (size >= 8) {
    const last = size - 8;
    for (let i: usize = 0; i < last; i += 8) store<u64>(target + i, load<u64>(start + i));
    store<u64>(target + last, load<u64>(start + last));
  } else {
    for (let i: usize = 0; i < size; i++) store<u8>(target + i, load<u8>(start + i));
  }
}

/** Has the top bit of each byte set that is 0 in `word`, and no other. */
// @ts-ignore: decorator
@inline
export function zeroBytes(word: u64): u64 {
  const low: u64 = 0x7f7f_7f7f_7f7f_7f7f;
  return ~(((word & low) + low) | word | low);
}

/** Copies `size` bytes with `separator` in the place of each NUL. */
export function copyJoined(target: usize, start: usize, size: usize, separator: u8): void {
  let i: usize = 0;
  for (; i + 8 <= size; i += 8) {
    const word = load<u64>(start + i);
    store<u64>(target + i, word | ((zeroBytes(word) >> 7) * separator));
  }
  for (; i < size; i++) {
    const byte = load<u8>(start + i);
    store<u8>(target + i, byte == 0 ? separator : byte);
  }
}

/** Bytes of the current event; valid until the handler returns. */
@final
export class Bytes {
  /** Address of the first byte. */
  start: usize = 0;
  /** Number of bytes. */
  size: u32 = 0;

  /** Byte `index`; traps beyond the end. */
  @operator('[]') @inline
  at(index: u32): u8 {
    if (index >= this.size) unreachable();
    return load<u8>(this.start + index);
  }

  /** Whether the bytes are the UTF-8 form of `text`. */
  equals(text: string): bool {
    return this.matched(text) == <i32>this.size;
  }

  /** Whether the bytes start with the UTF-8 form of `text`. */
  startsWith(text: string): bool {
    return this.matched(text) >= 0;
  }

  /** Where `byte` is, the first time; -1 if it is not. */
  indexOf(byte: u8): i32 {
    for (let i: u32 = 0; i < this.size; i++) if (load<u8>(this.start + i) == byte) return <i32>i;
    return -1;
  }

  /** Where `byte` is, the last time; -1 if it is not. */
  lastIndexOf(byte: u8): i32 {
    for (let i = <i32>this.size - 1; i >= 0; i--) if (load<u8>(this.start + i) == byte) return i;
    return -1;
  }

  /** Decodes UTF-8. Allocates: not for every event. */
  toString(): string {
    return String.UTF8.decodeUnsafe(this.start, this.size);
  }

  /** The size of `text` as UTF-8 if the bytes start with it, else -1. */
  private matched(text: string): i32 {
    const units = changetype<usize>(text);
    const length = text.length;
    let at: u32 = 0;
    for (let i = 0; i < length; i++) {
      const unit = <u32>load<u16>(units + (<usize>i << 1));
      if (unit < 0x80) {
        if (!this.has(at++, unit)) return -1;
        continue;
      }
      let code = unit;
      if (unit >= 0xd800 && unit < 0xdc00 && i + 1 < length) {
        const low = <u32>load<u16>(units + (<usize>++i << 1));
        code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
      }
      const more: u32 = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
      if (!this.has(at++, ((0xff00 >> (more + 1)) & 0xff) | (code >> (6 * more)))) return -1;
      for (let shift = more; shift > 0; shift--) {
        if (!this.has(at++, 0x80 | ((code >> (6 * (shift - 1))) & 0x3f))) return -1;
      }
    }
    return <i32>at;
  }

  @inline
  private has(index: u32, byte: u32): bool {
    return index < this.size && <u32>load<u8>(this.start + index) == byte;
  }
}
