// The buffers that a gadget builds large records in (GADGET_PER_CPU_BUFFER of bpf/include/gadget/macros.h): made as large
// as its parameters ask, unless that is more than its records may be, or than this machine can spare.

import { totalmem } from 'node:os';
import type { MapSpec } from '../../bpf/map.js';
import { MAX_BATCH_BYTES } from '../data/batch.js';
import { ParamError } from './errors.js';

/** Buffers as the object declares them. */
export interface BufferSpec {
  readonly map: string;
  /** The variable of the parameter that says how many bytes a buffer has beside those of the map's declaration. */
  readonly variable: string;
}

/** What the map of buffers is to be. */
export interface BufferSize {
  readonly map: string;
  /** Of one buffer, which bounds the records built in it. */
  readonly sizeBytes: number;
  /** All of them. */
  readonly count: number;
}

/** What buffers must fit in. */
export interface BufferBounds {
  /** One more than the highest number of a CPU. */
  readonly cpus: number;
  /** Of the rings that records are sent through. */
  readonly ringBytes: readonly number[];
}

/** What the kernel takes of a ring for a record beside its bytes, and leaves free (__bpf_ringbuf_reserve). */
const RING_OVERHEAD_BYTES = 16;
/** The part of the machine's memory that a gadget's buffers may take. */
const MEMORY_SHARE = 1 / 4;

/**
 * The size of the buffers in `map` when the parameter `key` is `extraBytes`. Throws ParamError when that is too much.
 */
export function bufferSize(
  { name, valueSize, maxEntries }: MapSpec,
  key: string,
  extraBytes: number,
  { cpus, ringBytes }: BufferBounds,
): BufferSize {
  const count = maxEntries * cpus;
  const ring = Math.max(...ringBytes) - RING_OVERHEAD_BYTES;
  const largest = Math.min(ring, MAX_BATCH_BYTES);
  if (valueSize + extraBytes > largest)
    throw tooMuch(key, extraBytes, largest - valueSize, `an event can have ${largest} bytes in all`);
  const affordable = Math.floor((totalmem() * MEMORY_SHARE) / count);
  if (valueSize + extraBytes > affordable)
    throw tooMuch(key, extraBytes, affordable - valueSize, `all ${count} buffers take memory of the kernel`);
  return { map: name, sizeBytes: valueSize + extraBytes, count };
}

function tooMuch(key: string, asked: number, most: number, because: string): ParamError {
  return new ParamError(`--${key} takes at most ${Math.max(most, 0)} here, not ${asked}: ${because}`);
}
