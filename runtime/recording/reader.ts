// Reads a recording, which may come from anybody: frame by frame, every size checked against what the file holds.

import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { MAX_MODULE_SIZE_BYTES } from '../../wasm/host/module-form.js';
import { type Batch, MAX_BATCH_BYTES, MAX_BATCH_RECORDS, OFFSETS_SIZE_BYTES } from '../data/batch.js';
import type { DataSourceSpec } from '../data/spec.js';
import {
  checkChange,
  checkEnd,
  checkHashed,
  checkHeader,
  checkNames,
  checkRelease,
  isClock,
} from './check.js';
import { RecordingError } from './errors.js';
import {
  BATCH_HEAD_BYTES,
  FORMAT_VERSION,
  FRAME,
  FRAME_HEAD_BYTES,
  type Frame,
  MAGIC,
  MAX_PACKED_BYTES,
  type RecordingHeader,
} from './format.js';
import { unpack } from './packed.js';

const WINDOW_BYTES = 1 << 18;
const MAX_BATCH_FRAME_BYTES = BATCH_HEAD_BYTES + MAX_BATCH_RECORDS * 4 + MAX_BATCH_BYTES;
const FIRST_LINE = new RegExp(`^${MAGIC}(\\d{1,9})\\n`);
const FIRST_LINE_BYTES = MAGIC.length + 10;

/** Bytes of a file in their order, many read at a time. */
class Window {
  readonly #fd: number;
  /** Of the next byte to be taken, in the file. */
  position: number;
  #buffer = new Uint8Array(WINDOW_BYTES);
  /** What the buffer holds of the file. */
  #start = 0;
  #end = 0;

  constructor(fd: number, position: number) {
    this.#fd = fd;
    this.position = position;
  }

  /** The next bytes, which stay until the next call; undefined, and nothing is taken, when the file ends before. */
  take(size: number): Uint8Array | undefined {
    const bytes = this.peek(size);
    if (bytes !== undefined) this.position += size;
    return bytes;
  }

  /** The same, not taken. */
  peek(size: number): Uint8Array | undefined {
    if (this.position < this.#start || this.position + size > this.#end) this.#fill(size);
    if (this.position + size > this.#end) return undefined;
    const at = this.position - this.#start;
    return this.#buffer.subarray(at, at + size);
  }

  /** Whether the file has that many more bytes. */
  has(size: number): boolean {
    return this.position + size <= this.#end || this.position + size <= fstatSync(this.#fd).size;
  }

  #fill(size: number): void {
    // Nothing is made room for that the file does not hold.
    if (!this.has(size)) return;
    if (size > this.#buffer.length) this.#buffer = new Uint8Array(size);
    this.#start = this.position;
    this.#end = this.position;
    while (this.#end < this.#start + size) {
      const used = this.#end - this.#start;
      const count = readSync(this.#fd, this.#buffer, used, this.#buffer.length - used, this.#end);
      if (count === 0) return;
      this.#end += count;
    }
  }
}

/** A file that is a recording. */
export interface Recording {
  readonly fd: number;
  readonly header: RecordingHeader;
  readonly module: Uint8Array | undefined;
  /** Where the frames behind the header and the module are. */
  readonly framesAt: number;
  close(): void;
}

/** Opens a recording. Throws RecordingError: one sentence on what is wrong with the file. */
export function openRecording(path: string): Recording {
  let fd: number | undefined;
  try {
    // Without O_NONBLOCK, a pipe that nobody writes to would never open.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if (!fstatSync(fd).isFile()) throw new RecordingError('it is no file');
    const opened = fd;
    return { fd, ...readStart(new Window(fd, 0)), close: () => closeSync(opened) };
  } catch (cause) {
    if (fd !== undefined) closeSync(fd);
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new RecordingError(
      `cannot replay ${path}: ${code === 'ENOENT' ? 'there is no such file' : message}`,
      {
        cause,
      },
    );
  }
}

function readStart(window: Window): Pick<Recording, 'header' | 'module' | 'framesAt'> {
  readFirstLine(window);
  const head = takeHead(window);
  if (head?.kind !== FRAME.header) throw new RecordingError('it ends before its header, or has none');
  const packed = takePacked(window, head.size);
  if (packed === undefined) throw new RecordingError('it ends within its header');
  const header = checkHeader(unpack(packed));
  const module = header.wasm === undefined ? undefined : readModule(window, header.wasm.digest);
  return { header, module, framesAt: window.position };
}

function readFirstLine(window: Window): void {
  let bytes: Uint8Array | undefined;
  for (let size = FIRST_LINE_BYTES; bytes === undefined && size > 0; size--) bytes = window.peek(size);
  const line = FIRST_LINE.exec(Buffer.from(bytes ?? []).toString('latin1'));
  if (line === null) throw new RecordingError('it is no recording of `ig run --record`');
  const version = Number(line[1]);
  if (version > FORMAT_VERSION) {
    throw new RecordingError(
      `it is of format ${version}, and this ig knows those up to ${FORMAT_VERSION}; replay it with a newer ig`,
    );
  }
  if (version < 1) throw new RecordingError('it is no recording of `ig run --record`');
  window.take(line[0].length);
}

function readModule(window: Window, digest: string): Uint8Array {
  const head = takeHead(window);
  if (head?.kind !== FRAME.module || head.size > MAX_MODULE_SIZE_BYTES)
    throw new RecordingError('the Wasm module it names is not in it');
  const module = window.take(head.size)?.slice();
  if (module === undefined) throw new RecordingError('it ends within its Wasm module');
  if (createHash('sha256').update(module).digest('hex') !== digest)
    throw new RecordingError('its Wasm module is not the one it names');
  return module;
}

interface FrameHead {
  readonly kind: number;
  readonly size: number;
}

function takeHead(window: Window): FrameHead | undefined {
  const bytes = window.take(FRAME_HEAD_BYTES);
  if (bytes === undefined) return undefined;
  return { kind: bytes[4]!, size: viewOf(bytes).getUint32(0, true) };
}

function takePacked(window: Window, size: number): Uint8Array | undefined {
  if (size > MAX_PACKED_BYTES) throw new RecordingError(`a part of it claims to be ${size} bytes long`);
  return window.take(size);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The frames behind the start of a recording. */
export class FrameReader {
  readonly #window: Window;
  readonly #sources: readonly DataSourceSpec[];

  /** Reads from byte `position` on: `Recording.framesAt`, or a `position` of another reader. */
  constructor(fd: number, position: number, sources: readonly DataSourceSpec[]) {
    this.#window = new Window(fd, position);
    this.#sources = sources;
  }

  /** Where the next frame begins. */
  get position(): number {
    return this.#window.position;
  }

  /**
   * The next frame that this version knows; the records of one go to `batch`. Undefined where the file ends, be it
   * within a frame. Throws RecordingError when it cannot go on.
   */
  next(batch: Batch): Frame | undefined {
    for (;;) {
      const start = this.#window.position;
      const head = takeHead(this.#window);
      // A machine that crashed may leave zeros where a frame should be.
      if (head === undefined || head.kind === 0) return undefined;
      if (!this.#window.has(head.size)) {
        this.#window.position = start;
        return undefined;
      }
      const frame = this.#read(head, batch);
      if (frame !== undefined) return frame;
    }
  }

  #read({ kind, size }: FrameHead, batch: Batch): Frame | undefined {
    switch (kind) {
      case FRAME.start:
        this.#window.position += size;
        return { kind: 'start' };
      case FRAME.change: {
        const change = checkChange(this.#packed(size));
        return change && { kind: 'change', change };
      }
      case FRAME.names:
        return { kind: 'names', ...checkNames(this.#packed(size)) };
      case FRAME.batch:
        return this.#batch(size, batch);
      case FRAME.release:
        return { kind: 'release', ...checkRelease(this.#packed(size), this.#sources.length) };
      case FRAME.hashed:
        return { kind: 'hashed', file: checkHashed(this.#packed(size)) };
      case FRAME.end:
        return { kind: 'end', ...checkEnd(this.#packed(size)) };
      default:
        this.#window.position += size;
        return undefined;
    }
  }

  #packed(size: number): unknown {
    return unpack(takePacked(this.#window, size)!);
  }

  #batch(size: number, batch: Batch): Frame {
    if (size > MAX_BATCH_FRAME_BYTES)
      throw new RecordingError(`a batch of events in it is ${size} bytes long`);
    const payload = this.#window.take(size)!;
    const view = viewOf(payload);
    const source = size < BATCH_HEAD_BYTES ? undefined : this.#sources[view.getUint32(0, true)];
    const count = source === undefined ? 0 : view.getUint32(4, true);
    const recordsAt = BATCH_HEAD_BYTES + count * 4;
    if (source === undefined || count === 0 || count > MAX_BATCH_RECORDS || recordsAt > size)
      throw new RecordingError('a batch of events in it is damaged');
    const nowMs = view.getFloat64(8, true);
    if (!isClock(nowMs)) throw new RecordingError('a batch of events in it has no time');
    let end = 0;
    batch.offsets[0] = OFFSETS_SIZE_BYTES;
    for (let row = 0; row < count; row++) {
      const before = end;
      end = view.getUint32(BATCH_HEAD_BYTES + row * 4, true);
      if (end % 8 !== 0 || end < before + source.recordSize)
        throw new RecordingError('an event in it is shorter than it has to be');
      batch.offsets[row + 1] = OFFSETS_SIZE_BYTES + end;
    }
    if (recordsAt + end !== size || end > MAX_BATCH_BYTES)
      throw new RecordingError('a batch of events in it is not as long as its events');
    batch.bytes.set(payload.subarray(recordsAt), OFFSETS_SIZE_BYTES);
    batch.reset(count);
    return { kind: 'batch', source: view.getUint32(0, true), nowMs };
  }
}
