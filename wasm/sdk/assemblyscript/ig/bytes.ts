// A view of bytes in memory: text and bytes of an event are read through it without copying.

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

  /** Whether the bytes are the UTF-8 form of `text`; ASCII only. */
  equals(text: string): bool {
    return this.size == <u32>text.length && this.startsWith(text);
  }

  /** Whether the bytes start with the UTF-8 form of `text`; ASCII only. */
  startsWith(text: string): bool {
    const length = <u32>text.length;
    if (this.size < length) return false;
    for (let i: u32 = 0; i < length; i++) {
      if (<u16>load<u8>(this.start + i) != load<u16>(changetype<usize>(text) + (i << 1))) return false;
    }
    return true;
  }

  /** Decodes UTF-8. Allocates: not for every event. */
  toString(): string {
    return String.UTF8.decodeUnsafe(this.start, this.size);
  }
}
