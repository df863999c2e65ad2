// Writes a recording while the gadget runs: a frame at a time, so that what is in the file is always of use.

import {
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  ftruncateSync,
  openSync,
  unlinkSync,
  writeSync,
  writevSync,
} from 'node:fs';
import type { TableChange } from '../containers/change.js';
import { type Batch, MAX_BATCH_RECORDS } from '../data/batch.js';
import type { HashedFile } from '../hashing/file.js';
import { RecordingError } from './errors.js';
import {
  BATCH_HEAD_BYTES,
  FORMAT_VERSION,
  FRAME,
  FRAME_HEAD_BYTES,
  type FrameKind,
  MAGIC,
  MAX_NAMES,
  MAX_PACKED_BYTES,
  type NamesOf,
  type RecordingEnd,
  type RecordingHeader,
} from './format.js';
import { pack } from './packed.js';

const { O_APPEND, O_CREAT, O_EXCL, O_WRONLY } = constants;
const EMPTY = new Uint8Array(0);

/**
 * Makes the file, which only its owner can read: events may hold what others must not see. Under sudo, that is who
 * called it, as a replay needs no root. Returns its descriptor. Throws RecordingError, also when there is such a file.
 */
export function createRecording(
  path: string,
  header: RecordingHeader,
  module: Uint8Array | undefined,
): number {
  let fd: number | undefined;
  try {
    fd = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0o600);
    giveToCaller(fd);
    writeAll(fd, Buffer.from(`${MAGIC}${FORMAT_VERSION}\n`));
    writeFrame(fd, FRAME.header, pack(packable(header)));
    if (module !== undefined) writeFrame(fd, FRAME.module, module);
    return fd;
  } catch (cause) {
    if (fd !== undefined) {
      closeSync(fd);
      unlinkSync(path);
    }
    const { code, message } = cause as NodeJS.ErrnoException;
    const reason = code === 'EEXIST' ? 'there is such a file; give another name, or remove it' : message;
    throw new RecordingError(`cannot record to ${path}: ${reason}`, { cause });
  }
}

function giveToCaller(fd: number): void {
  const { SUDO_UID, SUDO_GID } = process.env;
  if (process.getuid?.() !== 0 || !/^\d{1,10}$/.test(SUDO_UID ?? '') || !/^\d{1,10}$/.test(SUDO_GID ?? ''))
    return;
  fchownSync(fd, Number(SUDO_UID), Number(SUDO_GID));
}

function packable({ bootToEpochNs, wasm, ...rest }: RecordingHeader): object {
  return {
    ...rest,
    bootToEpochNs: String(bootToEpochNs),
    ...(wasm === undefined ? {} : { wasm: { ...wasm, params: wasm.params.flat() } }),
  };
}

/** Writes the last frame. On a disk that has no room for it, readers find that the end is missing, and no harm done. */
export function endRecording(fd: number, { losses }: RecordingEnd): void {
  const { size } = fstatSync(fd);
  try {
    writeFrame(fd, FRAME.end, pack({ losses: Object.fromEntries(losses) }));
  } catch {
    cut(fd, size);
  }
}

export interface WriterListener {
  /** So many events more are in the file. */
  recorded(events: number): void;
  /** The file is cut to its last whole frame, and nothing more is written. */
  failed(reason: string): void;
}

/** Appends what a pipeline's worker takes in. Throws nothing. */
export class RecordingWriter {
  readonly #listener: WriterListener;
  readonly #ends = new Uint32Array(MAX_BATCH_RECORDS);
  readonly #head = new Uint8Array(BATCH_HEAD_BYTES);
  readonly #headView = new DataView(this.#head.buffer);
  #fd: number | undefined;
  /** Of the file, which nobody else writes. */
  #sizeBytes: number;

  constructor(fd: number, listener: WriterListener) {
    this.#fd = fd;
    this.#sizeBytes = fstatSync(fd).size;
    this.#listener = listener;
  }

  /** A worker starts, with this table. */
  start(changes: readonly TableChange[]): void {
    this.#append(FRAME.start, EMPTY);
    for (const change of changes) this.change(change);
  }

  change(change: TableChange): void {
    this.#append(FRAME.change, pack(change.kind === 'add' ? packableAddition(change) : change));
  }

  names(of: NamesOf, names: ReadonlyMap<number, string>): void {
    const flat = [...names].slice(0, MAX_NAMES).flat();
    const packed = pack({ of, names: flat });
    if (packed.length <= MAX_PACKED_BYTES) this.#append(FRAME.names, packed);
  }

  hashed({ inode, ctimeNs, ...rest }: HashedFile): void {
    this.#append(FRAME.hashed, pack({ ...rest, inode: String(inode), ctimeNs: String(ctimeNs) }));
  }

  /** The records of data source number `source` as they came from the kernel. */
  batch(source: number, { bytes, offsets, count }: Batch, nowMs: number): void {
    const from = offsets[0]!;
    for (let row = 0; row < count; row++) this.#ends[row] = offsets[row + 1]! - from;
    this.#headView.setUint32(0, source, true);
    this.#headView.setUint32(4, count, true);
    this.#headView.setFloat64(8, nowMs, true);
    const ends = new Uint8Array(this.#ends.buffer, 0, count * 4);
    this.#append(FRAME.batch, this.#head, ends, bytes.subarray(from, offsets[count]));
    if (this.#fd !== undefined) this.#listener.recorded(count);
  }

  /** Events of the data source that waited for a name go on. */
  release(source: number, nowMs: number): void {
    this.#append(FRAME.release, pack({ source, nowMs }));
  }

  #append(kind: FrameKind, ...parts: readonly Uint8Array[]): void {
    if (this.#fd === undefined) return;
    try {
      this.#sizeBytes += writeFrame(this.#fd, kind, ...parts);
    } catch (error) {
      cut(this.#fd, this.#sizeBytes);
      this.#fd = undefined;
      this.#listener.failed((error as Error).message);
    }
  }
}

function packableAddition(change: Extract<TableChange, { kind: 'add' }>): object {
  const { accounts, ...container } = change.container;
  if (accounts === undefined) return change;
  const { users, groups } = accounts;
  return {
    ...change,
    container: { ...container, accounts: { users: [...users].flat(), groups: [...groups].flat() } },
  };
}

/** Returns the frame's size. */
function writeFrame(fd: number, kind: FrameKind, ...parts: readonly Uint8Array[]): number {
  const payloadBytes = parts.reduce((sum, part) => sum + part.length, 0);
  const head = new DataView(new ArrayBuffer(FRAME_HEAD_BYTES));
  head.setUint32(0, payloadBytes, true);
  head.setUint8(4, kind);
  const all = [new Uint8Array(head.buffer), ...parts];
  let written = writevSync(fd, all);
  for (const part of all) {
    if (written < part.length) writeAll(fd, part.subarray(written));
    written = Math.max(0, written - part.length);
  }
  return FRAME_HEAD_BYTES + payloadBytes;
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
}

/** A disk so broken that it cannot even do that leaves the file cut off somewhere, which readers know. */
function cut(fd: number, sizeBytes: number): void {
  try {
    ftruncateSync(fd, sizeBytes);
  } catch {
    // see above
  }
}
