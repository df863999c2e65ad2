// MessagePack in the subset that recordings use: no extensions, so that reading makes plain data and nothing else.

import type * as msgpackr from 'msgpackr';
import * as pure from 'msgpackr/pack';
import { RecordingError } from './errors.js';

/** The part of the package that looks for no native code; its types are in the other. */
const { Packr, Unpackr } = pure as unknown as typeof msgpackr;

const MAX_DEPTH = 16;
/** What an unpacked frame may hold, keys included: a few bytes must not become much memory. */
const MAX_VALUES = 1 << 20;

const OPTIONS = { useRecords: false, mapsAsObjects: true, encodeUndefinedAsNil: true };
const packr = new Packr(OPTIONS);
const unpackr = new Unpackr(OPTIONS);

/** Packs plain data: objects, arrays, strings, finite numbers, truth values. */
export function pack(value: object): Uint8Array {
  return packr.pack(value);
}

/** Throws RecordingError for what is not exactly one value in this subset. */
export function unpack(bytes: Uint8Array): unknown {
  if (!isPlain(bytes)) throw new RecordingError('a part of it is not MessagePack');
  try {
    return unpackr.unpack(bytes);
  } catch (cause) {
    throw new RecordingError('a part of it is not MessagePack', { cause });
  }
}

/** Bytes behind the first one that say how long a value, or how many values follow. */
const COUNT_BYTES: Readonly<Record<number, number>> = {
  ...{ 0xc4: 1, 0xc5: 2, 0xc6: 4, 0xd9: 1, 0xda: 2, 0xdb: 4 },
  ...{ 0xdc: 2, 0xdd: 4, 0xde: 2, 0xdf: 4 },
};
/** Size of what has one, by the first byte: nil, false, true, floats, integers. */
const FIXED_BYTES: Readonly<Record<number, number>> = {
  ...{ 0xc0: 0, 0xc2: 0, 0xc3: 0, 0xca: 4, 0xcb: 8 },
  ...{ 0xcc: 1, 0xcd: 2, 0xce: 4, 0xcf: 8, 0xd0: 1, 0xd1: 2, 0xd2: 4, 0xd3: 8 },
};

/**
 * Walks over one value without making anything of it. https://github.com/msgpack/msgpack/blob/master/spec.md
 */
function isPlain(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  /** How many values each open array or map still needs. */
  const open: number[] = [1];
  let at = 0;
  let values = 0;
  while (open.length > 0) {
    if (open.at(-1) === 0) {
      open.pop();
      continue;
    }
    open[open.length - 1]!--;
    if (at >= bytes.length || ++values > MAX_VALUES) return false;
    const item = itemAt(view, at);
    if (item === undefined) return false;
    at += item.bytes;
    if (item.children > MAX_VALUES || (item.children > 0 && open.length >= MAX_DEPTH)) return false;
    open.push(item.children);
  }
  return at === bytes.length;
}

/** How many bytes the value at `at` takes, without the values in it; undefined when it is none of the subset. */
function itemAt(view: DataView, at: number): { bytes: number; children: number } | undefined {
  const first = view.getUint8(at);
  if (first < 0x80 || first >= 0xe0) return { bytes: 1, children: 0 };
  if (first < 0x90) return { bytes: 1, children: (first & 0x0f) * 2 };
  if (first < 0xa0) return { bytes: 1, children: first & 0x0f };
  if (first < 0xc0) return { bytes: 1 + (first & 0x1f), children: 0 };
  const fixed = FIXED_BYTES[first];
  if (fixed !== undefined) return { bytes: 1 + fixed, children: 0 };
  const countBytes = COUNT_BYTES[first];
  if (countBytes === undefined || at + 1 + countBytes > view.byteLength) return undefined;
  const count = readCount(view, at + 1, countBytes);
  if (first < 0xdc) return { bytes: 1 + countBytes + count, children: 0 };
  return { bytes: 1 + countBytes, children: first < 0xde ? count : count * 2 };
}

function readCount(view: DataView, at: number, size: number): number {
  if (size === 1) return view.getUint8(at);
  return size === 2 ? view.getUint16(at) : view.getUint32(at);
}
