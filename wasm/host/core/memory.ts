// The memory of a core module, read and written where the module says, never outside of it.

/** How the peer's API passes a buffer or a text: `length << 32 | address`, both in bytes; 0 is empty. */
export type GuestBuffer = bigint;

const EMPTY = new Uint8Array(0);
const DECODER = new TextDecoder();

/** Takes a 64-bit number apart without allocating. */
const WIDE = new BigUint64Array(1);
const HALVES = new Uint32Array(WIDE.buffer);

export class GuestMemory {
  private memory: WebAssembly.Memory | undefined;
  private bytes = EMPTY;
  private view = new DataView(EMPTY.buffer);

  /** Before this, the memory is empty: the module's start may already call the host. */
  attach(memory: WebAssembly.Memory): void {
    this.memory = memory;
  }

  get sizeBytes(): number {
    return this.memory?.buffer.byteLength ?? 0;
  }

  /** A view of `size` bytes; undefined when they lie outside the memory. It ends when the module runs on. */
  at(address: number, size: number): Uint8Array | undefined {
    if (!this.holds(address, size)) return undefined;
    return size === 0 ? EMPTY : this.bytes.subarray(address, address + size);
  }

  /** The same for a buffer. */
  slice(buffer: GuestBuffer): Uint8Array | undefined {
    WIDE[0] = buffer;
    return this.at(HALVES[0]!, HALVES[1]!);
  }

  /** A text of at most `maxBytes`; undefined when it is longer or lies outside the memory. */
  text(buffer: GuestBuffer, maxBytes: number): string | undefined {
    const bytes = this.slice(buffer);
    return bytes === undefined || bytes.length > maxBytes ? undefined : DECODER.decode(bytes);
  }

  /** Copies `bytes` to the start of a buffer; false when they do not fit, or it lies outside the memory. */
  fill(buffer: GuestBuffer, bytes: Uint8Array): boolean {
    const target = this.slice(buffer);
    if (target === undefined || bytes.length > target.length) return false;
    target.set(bytes);
    return true;
  }

  /** False when the address lies outside the memory; so with all that follow. */
  setU32(address: number, value: number): boolean {
    if (!this.holds(address, 4)) return false;
    this.view.setUint32(address, value, true);
    return true;
  }

  setU64(address: number, value: bigint): boolean {
    if (!this.holds(address, 8)) return false;
    this.view.setBigUint64(address, value, true);
    return true;
  }

  /**
   * Whether these bytes are in the memory. As that is shared, views of it stay when it grows; asking for its buffer
   * takes longer than most of what a module asks the host for.
   */
  private holds(address: number, size: number): boolean {
    if (address + size <= this.bytes.length) return true;
    const buffer = this.memory?.buffer;
    if (buffer === undefined || buffer === this.bytes.buffer) return false;
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    return address + size <= this.bytes.length;
  }
}
