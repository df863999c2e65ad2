// Parameters of a gadget: what each takes, and how a flag's text becomes the bytes of an eBPF variable.

import { isIP } from 'node:net';
import { ParamError } from './errors.js';
import type { ParamMetadata } from './metadata.js';

const PARAM_TYPES = [
  'bool',
  'string',
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint16',
  'uint32',
  'uint64',
  'float32',
  'float64',
  'ip',
] as const;

export type ParamType = (typeof PARAM_TYPES)[number];

/** Where a parameter's value goes: a `const volatile` variable of the eBPF object, or the Wasm module. */
export type ParamTarget =
  | { readonly in: 'ebpf'; readonly variable: string; readonly sizeBytes: number }
  | { readonly in: 'wasm'; readonly name: string };

export interface Param {
  /** Name of the flag, without dashes. */
  readonly key: string;
  /** One-letter flag. */
  readonly alias?: string;
  readonly type: ParamType;
  readonly description: string;
  readonly defaultValue: string;
  readonly mandatory: boolean;
  readonly possibleValues: readonly string[];
  readonly target: ParamTarget;
}

/** Keys and defaults of the variables that filter.h (by the peer's convention) and fair.h bring to every gadget. */
const WELL_KNOWN: Readonly<Record<string, { key: string; defaultValue: string; description: string }>> = {
  targ_pid: { key: 'pid', defaultValue: '0', description: 'Show only events of this process id (0: all).' },
  targ_tid: { key: 'tid', defaultValue: '0', description: 'Show only events of this thread id (0: all).' },
  targ_uid: {
    key: 'uid',
    defaultValue: '4294967295',
    description: 'Show only events of this user id (4294967295: all).',
  },
  targ_gid: {
    key: 'gid',
    defaultValue: '4294967295',
    description: 'Show only events of this group id (4294967295: all).',
  },
  targ_comm: {
    key: 'comm',
    defaultValue: '',
    description: 'Show only events of processes with this name (empty: all).',
  },
  gadget_pid: { key: 'pid', defaultValue: '0', description: 'Show only events of this process id (0: all).' },
  gadget_comm: {
    key: 'comm',
    defaultValue: '',
    description: 'Show only events of processes with this name (empty: all).',
  },
  gadget_fair: {
    key: 'fair',
    defaultValue: 'false',
    description: 'With the buffer more than half full, give each cgroup only its share of the rest.',
  },
  gadget_fair_rate: {
    key: 'fair-rate',
    defaultValue: '100',
    description: 'With --fair, what that is in events of up to 1 KiB per second.',
  },
  collect_ustack: {
    key: 'collect-ustack',
    defaultValue: 'false',
    description: 'Collect the user stack of every event.',
  },
  collect_build_id: {
    key: 'collect-build-id',
    defaultValue: 'false',
    description: 'Collect build ids with user stacks.',
  },
};

/** A parameter of an eBPF variable: the metadata's words first, then the convention's, then the variable's. */
export function ebpfParam(
  variable: string,
  type: ParamType,
  sizeBytes: number,
  initial: Uint8Array,
  metadata: ParamMetadata = {},
): Param {
  const known = WELL_KNOWN[variable];
  return makeParam(
    metadata,
    {
      key: known?.key ?? variable,
      type,
      description: known?.description ?? '',
      defaultValue: known?.defaultValue ?? decodeValue(type, initial),
    },
    { in: 'ebpf', variable, sizeBytes },
  );
}

export function wasmParam(name: string, metadata: ParamMetadata): Param {
  const type = PARAM_TYPES.find((known) => known === (metadata.type ?? metadata.typeHint)) ?? 'string';
  return makeParam(metadata, { key: name, type, description: '', defaultValue: '' }, { in: 'wasm', name });
}

function makeParam(
  metadata: ParamMetadata,
  fallback: { key: string; type: ParamType; description: string; defaultValue: string },
  target: ParamTarget,
): Param {
  return {
    key: metadata.key ?? fallback.key,
    ...(metadata.alias === undefined ? {} : { alias: metadata.alias }),
    type: fallback.type,
    description: metadata.description ?? fallback.description,
    defaultValue: metadata.defaultValue ?? fallback.defaultValue,
    mandatory: metadata.isMandatory ?? false,
    possibleValues: metadata.possibleValues ?? [],
    target,
  };
}

const INTEGER = /^(u?)int(8|16|32|64)$/;

/** Checks a value given by the user. Throws ParamError. */
export function checkValue(param: Param, value: string): void {
  if (param.possibleValues.length > 0 && !param.possibleValues.includes(value)) {
    throw new ParamError(
      `--${param.key} takes one of ${param.possibleValues.join(', ')}, not ${JSON.stringify(value)}`,
    );
  }
  encodeValue(
    param,
    value,
    param.target.in === 'ebpf' ? param.target.sizeBytes : Number.MAX_SAFE_INTEGER,
    true,
  );
}

/** The value as the bytes of a variable of `sizeBytes`. Throws ParamError when it does not fit. */
export function encodeValue(param: Param, value: string, sizeBytes: number, checkOnly = false): Uint8Array {
  const refuse = (expected: string): never => {
    throw new ParamError(`--${param.key} takes ${expected}, not ${JSON.stringify(value)}`);
  };
  if (param.type === 'string') {
    const text = new TextEncoder().encode(value);
    if (text.length >= sizeBytes) refuse(`at most ${sizeBytes - 1} bytes`);
    if (checkOnly) return text;
    const bytes = new Uint8Array(sizeBytes);
    bytes.set(text);
    return bytes;
  }
  if (param.type === 'bool') {
    if (value !== 'true' && value !== 'false') refuse('true or false');
    return Uint8Array.of(value === 'true' ? 1 : 0);
  }
  if (param.type === 'ip') return encodeIp(value, sizeBytes, refuse);
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  const integer = INTEGER.exec(param.type);
  if (integer !== null) {
    const bits = Number(integer[2]);
    const [low, high] =
      integer[1] === 'u'
        ? [0n, 2n ** BigInt(bits) - 1n]
        : [-(2n ** BigInt(bits - 1)), 2n ** BigInt(bits - 1) - 1n];
    if (!/^-?(\d{1,20}|0x[0-9a-fA-F]{1,16})$/.test(value) || value.startsWith('-0x'))
      refuse('a whole number');
    const number = BigInt(value);
    if (number < low || number > high) refuse(`a whole number from ${low} to ${high}`);
    view.setBigInt64(0, BigInt.asIntN(64, number), true);
    return bytes.subarray(0, bits / 8);
  }
  const number = value.trim() === '' ? NaN : Number(value);
  if (Number.isNaN(number)) refuse('a number');
  if (param.type === 'float32') view.setFloat32(0, number, true);
  else view.setFloat64(0, number, true);
  return bytes.subarray(0, param.type === 'float32' ? 4 : 8);
}

/** gadget_l3endpoint_t: 16 bytes of address (v4 in the first 4), then the version, 4 or 6. */
function encodeIp(value: string, sizeBytes: number, refuse: (expected: string) => never): Uint8Array {
  const bytes = new Uint8Array(Math.max(17, Math.min(sizeBytes, 64)));
  if (value === '') return bytes;
  // There is no room for the zone of `fe80::1%eth0`.
  const version = value.includes('%') ? 0 : isIP(value);
  if (version === 4) bytes.set(value.split('.').map(Number));
  else if (version === 6) bytes.set(ipv6Bytes(value));
  else refuse('an IP address');
  bytes[16] = version;
  return bytes;
}

function ipv6Bytes(text: string): Uint8Array {
  const withoutV4 = text.replace(
    /(\d+)\.(\d+)\.(\d+)\.(\d+)$/,
    (_, a: string, b: string, c: string, d: string) =>
      [a, b, c, d]
        .map((part) => Number(part).toString(16).padStart(2, '0'))
        .join('')
        .replace(/^(....)/, '$1:'),
  );
  const [head = '', tail] = withoutV4.split('::');
  const groups = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => parseInt(group, 16));
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const all = [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

function decodeValue(type: ParamType, bytes: Uint8Array): string {
  const padded = new Uint8Array(8);
  padded.set(bytes.subarray(0, 8));
  const view = new DataView(padded.buffer);
  switch (type) {
    case 'bool':
      return bytes[0] === 1 ? 'true' : 'false';
    case 'string': {
      const end = bytes.indexOf(0);
      return new TextDecoder().decode(bytes.subarray(0, end < 0 ? bytes.length : end));
    }
    case 'ip':
      return '';
    case 'float32':
      return `${view.getFloat32(0, true)}`;
    case 'float64':
      return `${view.getFloat64(0, true)}`;
    case 'int8':
      return `${view.getInt8(0)}`;
    case 'int16':
      return `${view.getInt16(0, true)}`;
    case 'int32':
      return `${view.getInt32(0, true)}`;
    case 'int64':
      return `${view.getBigInt64(0, true)}`;
    case 'uint8':
    case 'uint16':
    case 'uint32':
    case 'uint64':
      return `${view.getBigUint64(0, true)}`;
  }
}
