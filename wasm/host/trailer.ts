// Puts behind a batch's records what a module is told beside them: which are dropped, and the fields it reads that
// are not in the records. Layout: wasm/wit/README.md.

import { type Batch, Span } from '../../runtime/data/batch.js';
import { type Field, type Locator, locatorOf } from '../../runtime/data/field.js';
import { isFixed, widthOf } from '../../runtime/data/kind.js';
import { GuestError } from './errors.js';

const HEADER_SIZE = 8;
const ENTRY_SIZE = 12;
/** What of one value a module gets. */
const MAX_VALUE_BYTES = 64 * 1024;
const MAX_TRAILER_BYTES = 8 * 1024 * 1024;
/** From this size on, one copy of many bytes is faster than a loop, also with the view that it allocates. */
const LONG_BYTES = 64;

interface Reader {
  readonly locate: Locator;
  /** Of a value; 0 where values differ. */
  readonly width: number;
}

/** Makes the batches of one data source ready for the module. */
export class TrailerWriter {
  private readonly readers: readonly Reader[];
  private readonly span = new Span();
  /** The batch with its trailer, where that has no room behind the records; kept from batch to batch. */
  private bytes = new Uint8Array(0);
  private view = new DataView(this.bytes.buffer);
  private start = 0;
  private position = 0;

  /** `fields`: what the module reads that is not in the records, in the plan's order. */
  constructor(fields: readonly Field[]) {
    this.readers = fields.map((field) => ({
      locate: locatorOf(field),
      width: isFixed(field.kind) ? widthOf(field.kind) * field.length : 0,
    }));
  }

  /**
   * The bytes for `process`; they hold until the next call, or until the batch is filled anew. Throws GuestError when
   * the fields take too much.
   */
  write(batch: Batch): Uint8Array {
    const { count, bytes, view } = batch;
    const end = batch.offsets[count]!;
    const keepAt = isWhole(batch) ? 0 : end + HEADER_SIZE;
    const size = HEADER_SIZE + (keepAt === 0 ? 0 : count);
    if (this.readers.length > 0 || end + size > bytes.length) return this.compose(batch, end, keepAt !== 0);
    view.setUint32(end, keepAt, true);
    view.setUint32(end + 4, 0, true);
    if (keepAt !== 0) bytes.set(batch.keep.subarray(0, count), keepAt);
    return bytes.subarray(0, end + size);
  }

  private compose(batch: Batch, end: number, hasKeep: boolean): Uint8Array {
    this.start = this.position = end;
    this.reserve(0);
    this.bytes.set(batch.bytes.subarray(0, end));
    this.take(HEADER_SIZE + ENTRY_SIZE * this.readers.length);
    const keepAt = hasKeep ? this.take(batch.count) : 0;
    if (hasKeep) this.bytes.set(batch.keep.subarray(0, batch.count), keepAt);
    this.view.setUint32(end, keepAt, true);
    this.view.setUint32(end + 4, this.readers.length, true);
    this.readers.forEach((reader, c) => this.writeColumn(end + HEADER_SIZE + ENTRY_SIZE * c, reader, batch));
    return this.bytes.subarray(0, this.position);
  }

  private writeColumn(entry: number, reader: Reader, batch: Batch): void {
    const { count } = batch;
    const before = this.position;
    const definedAt = this.take(count);
    const at = this.take(reader.width > 0 ? count * reader.width : 4 * (count + 1));
    let defined = 0;
    for (let row = 0; row < count; row++) {
      const found = batch.keep[row] === 1 && reader.locate(batch, row, this.span);
      if (found) {
        this.bytes[definedAt + row] = 1;
        defined++;
        this.writeValue(reader.width, at + row * reader.width);
      }
      if (reader.width === 0)
        this.view.setUint32(at + 4 * (row + 1), this.position - at - 4 * (count + 1), true);
    }
    if (defined === 0) {
      this.position = before;
      return;
    }
    const size = reader.width > 0 ? count * reader.width : this.position - at;
    this.position = align8(this.position);
    this.view.setUint32(entry, at, true);
    this.view.setUint32(entry + 4, size, true);
    this.view.setUint32(entry + 8, defined === count ? 0 : definedAt, true);
  }

  /** Copies what `span` shows to `at`, or where values differ in size, behind what there is. */
  private writeValue(width: number, at: number): void {
    const { span } = this;
    const size = Math.min(span.end - span.start, width > 0 ? width : MAX_VALUE_BYTES);
    if (width === 0) {
      at = this.position;
      this.reserve(size);
      this.position += size;
    }
    const { bytes } = this;
    if (size >= LONG_BYTES) bytes.set(span.bytes.subarray(span.start, span.start + size), at);
    else for (let i = 0; i < size; i++) bytes[at + i] = span.bytes[span.start + i]!;
  }

  /** Takes `size` bytes, made zero, at a multiple of 8. Returns their position. */
  private take(size: number): number {
    const position = align8(this.position);
    this.position = position;
    this.reserve(size);
    this.position = position + size;
    this.bytes.fill(0, position, this.position);
    return position;
  }

  /** Makes room for `size` bytes more, and for what aligns them. */
  private reserve(size: number): void {
    const needed = align8(this.position + size);
    if (needed - this.start > MAX_TRAILER_BYTES) {
      throw new GuestError(
        `the fields that the gadget's Wasm module reads take more than ${MAX_TRAILER_BYTES >>> 20} MiB for a batch`,
      );
    }
    if (needed <= this.bytes.length) return;
    const bytes = new Uint8Array(Math.max(needed, 2 * this.bytes.length));
    bytes.set(this.bytes.subarray(0, this.position));
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer);
  }
}

/** Whether no record was dropped. */
function isWhole({ keep, count }: Batch): boolean {
  for (let row = 0; row < count; row++) if (keep[row] === 0) return false;
  return true;
}

function align8(value: number): number {
  return (value + 7) & ~7;
}
