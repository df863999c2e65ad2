// What a recording is in a file: one line with the version, then frames, each with its size and kind in front.
//
//   "ig-recording v1\n"
//   frame = u32 size of the payload, u8 kind, 3 zero bytes, payload; numbers are little-endian
//
// Frames stand in the order in which the pipeline's worker took their content in, so that reading them again in that
// order makes the same events. A file that is cut off is whole up to its last whole frame. What a later version adds
// are frames of new kinds, and keys, which this one passes over; the version changes only when that is not enough.

import type { DataSourceSpec } from '../data/spec.js';
import type { TableChange } from '../containers/change.js';
import type { HashedFile } from '../hashing/file.js';

export const FORMAT_VERSION = 1;
export const MAGIC = 'ig-recording v';

/** Kinds of frame. 0 is none, so that the zeros a crashed machine leaves in a file are not taken for any. */
export const FRAME = {
  /** {@link RecordingHeader}, packed; the first frame. */
  header: 1,
  /** The gadget's Wasm module as it is. */
  module: 2,
  /** Empty: a worker starts, and with it an empty table of containers. */
  start: 3,
  /** A change of the table of containers, packed; see `check.ts` for its form. */
  change: 4,
  /** {@link NamesFrame}, packed: names of users or groups. */
  names: 5,
  /**
   * Records as the kernel sent them: u32 data source, u32 count, f64 time of the worker in ms; the end of each record
   * (u32, from the start of the first); the records, each a multiple of 8 bytes.
   */
  batch: 6,
  /** {@link ReleaseFrame}, packed. */
  release: 7,
  /** {@link RecordingEnd}, packed; the last frame. */
  end: 8,
  /** A file's hash, or why it has none, packed; see `check.ts` for its form. */
  hashed: 9,
} as const;

export type FrameKind = (typeof FRAME)[keyof typeof FRAME];

export const FRAME_HEAD_BYTES = 8;
export const BATCH_HEAD_BYTES = 16;
/** The largest payload of a frame that is packed. */
export const MAX_PACKED_BYTES = 16 << 20;
/** More names of users are not recorded. */
export const MAX_NAMES = 100_000;

/** What is known when the gadget starts. */
export interface RecordingHeader {
  /** Version of ig that recorded. */
  readonly ig: string;
  readonly gadget: string;
  readonly description: string;
  /** Digest of the gadget's image. */
  readonly image: string;
  readonly sources: readonly DataSourceSpec[];
  /** Wall clock minus CLOCK_BOOTTIME, in nanoseconds. */
  readonly bootToEpochNs: bigint;
  /** The Wasm module's, if there is one. */
  readonly wasm?: { readonly digest: string; readonly params: readonly (readonly [string, string])[] };
  /** Whether files were hashed; left out where they were not. */
  readonly hashing?: boolean;
  readonly naming: {
    readonly filtering: boolean;
    readonly hostMntns: number;
    readonly node?: string;
  };
}

/** Whose names a list of names holds. */
export type NamesOf = 'users' | 'groups';

export interface NamesFrame {
  readonly of: NamesOf;
  readonly names: ReadonlyMap<number, string>;
}

/** Events that had waited for the name of their container, or the hash of their file, went on at that time; Infinity: all of them, at the end. */
export interface ReleaseFrame {
  readonly source: number;
  readonly nowMs: number;
}

/** What the run lost before it could be recorded, by cause. */
export interface RecordingEnd {
  readonly losses: ReadonlyMap<string, number>;
}

/** What a reader makes of a frame. That of a batch leaves the records in the batch it was given. */
export type Frame =
  | { readonly kind: 'start' }
  | { readonly kind: 'change'; readonly change: TableChange }
  | ({ readonly kind: 'names' } & NamesFrame)
  | { readonly kind: 'hashed'; readonly file: HashedFile }
  | { readonly kind: 'batch'; readonly source: number; readonly nowMs: number }
  | ({ readonly kind: 'release' } & ReleaseFrame)
  | ({ readonly kind: 'end' } & RecordingEnd);
