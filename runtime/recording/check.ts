// Turns what was unpacked from a recording into the types of the pipeline. Nothing in it is trusted, and whatever the
// pipeline takes for granted is checked here.

import type { Accounts } from '../containers/accounts.js';
import type { TableChange } from '../containers/change.js';
import { type Container, type PodIdentity, RUNTIMES } from '../containers/container.js';
import { MAX_BATCH_BYTES } from '../data/batch.js';
import { type Annotations, UNDEFINED_VALUE } from '../data/field.js';
import { KINDS, type Kind, isFixed, widthOf } from '../data/kind.js';
import { isName } from '../data/name.js';
import type { DataSourceSpec, RecordFieldSpec } from '../data/spec.js';
import { HASH_FAILURES, type HashedFile } from '../hashing/file.js';
import { RecordingError } from './errors.js';
import {
  MAX_NAMES,
  type NamesFrame,
  type RecordingEnd,
  type RecordingHeader,
  type ReleaseFrame,
} from './format.js';

const MAX_SOURCES = 64;
const MAX_FIELDS = 4096;
const MAX_ENTRIES = 10_000;
const MAX_TEXT = 1 << 20;
const U32 = 0xffff_ffff;
/** In a record, of a value that stands in its tail: u32 offset, u32 size. */
const TAIL_REFERENCE_BYTES = 8;

type Check<T> = (value: unknown, what: string) => T;
type Keys = Readonly<Record<string, unknown>>;

function refuse(what: string): never {
  throw new RecordingError(`${what} is not what it has to be`);
}

const text: Check<string> = (value, what) =>
  typeof value === 'string' && value.length <= MAX_TEXT ? value : refuse(what);
/** What a version that did not know it has left out is empty. */
const maybeText: Check<string> = (value, what) => text(value ?? '', what);
const name: Check<string> = (value, what) => {
  const given = text(value, what);
  return isName(given) ? given : refuse(what);
};
const truth: Check<boolean> = (value, what) => (typeof value === 'boolean' ? value : refuse(what));

const whole =
  (high: number): Check<number> =>
  (value, what) =>
    typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= high
      ? value
      : refuse(what);

/** In decimal. */
const u64: Check<bigint> = (value, what) =>
  typeof value === 'string' && /^\d{1,20}$/.test(value) && BigInt(value) < 2n ** 64n
    ? BigInt(value)
    : refuse(what);

/** A time; one without end is allowed. */
const time: Check<number> = (value, what) => (typeof value === 'number' && value >= 0 ? value : refuse(what));

const list =
  <T>(most: number, item: Check<T>): Check<T[]> =>
  (value, what) =>
    Array.isArray(value) && value.length <= most ? value.map((one) => item(one, what)) : refuse(what);

const keys: Check<Keys> = (value, what) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Keys) : refuse(what);

const dictionary =
  <T>(item: Check<T>): Check<Record<string, T>> =>
  (value, what) => {
    const entries = Object.entries(keys(value, what));
    if (entries.length > MAX_ENTRIES) refuse(what);
    return Object.fromEntries(entries.map(([key, one]) => [key, item(one, what)]));
  };

const annotations: Check<Annotations> = (value, what) => {
  const all = dictionary(text)(value, what);
  const marker = all[UNDEFINED_VALUE];
  return marker === undefined || /^-?\d{1,20}$/.test(marker) ? all : refuse(what);
};

/** Numbers and their texts in turn. */
function pairs<K>(key: Check<K>, most: number): Check<Map<K, string>> {
  return (value, what) => {
    const flat = list(most * 2, (one) => one)(value, what);
    const map = new Map<K, string>();
    for (let i = 0; i < flat.length; i += 2) map.set(key(flat[i], what), text(flat[i + 1], what));
    return map;
  };
}

export function checkHeader(value: unknown): RecordingHeader {
  const { ig, gadget, description, image, sources, bootToEpochNs, wasm, hashing, naming } = keys(
    value,
    'its header',
  );
  const { filtering, hostMntns, node } = keys(naming, 'its header');
  const epoch = text(bootToEpochNs, 'its clock');
  if (!/^-?\d{1,20}$/.test(epoch)) refuse('its clock');
  return {
    ig: maybeText(ig, 'its version'),
    gadget: text(gadget, 'its gadget'),
    description: maybeText(description, 'its description'),
    image: maybeText(image, 'its image'),
    sources: list(MAX_SOURCES, checkSource)(sources, 'its data sources'),
    bootToEpochNs: BigInt(epoch),
    naming: {
      filtering: truth(filtering, 'its header'),
      hostMntns: whole(U32)(hostMntns, 'its header'),
      ...(node === undefined || node === null ? {} : { node: text(node, 'its header') }),
    },
    ...(wasm === undefined || wasm === null ? {} : { wasm: checkWasm(wasm) }),
    ...(hashing === true ? { hashing } : {}),
  };
}

function checkWasm(value: unknown): NonNullable<RecordingHeader['wasm']> {
  const what = 'its Wasm module';
  const { digest, params } = keys(value, what);
  return { digest: text(digest, what), params: [...pairs(text, MAX_ENTRIES)(params, what)] };
}

const checkSource: Check<DataSourceSpec> = (value) => {
  const source = keys(value, 'a data source');
  const sourceName = name(source['name'], 'the name of a data source');
  const what = `its data source ${sourceName}`;
  const { type } = source;
  const recordSize = whole(MAX_BATCH_BYTES)(source['recordSize'], what);
  const fields = list(MAX_FIELDS, (field) => checkField(field, recordSize, what))(source['fields'], what);
  if (new Set(fields.map(({ fullName }) => fullName)).size < fields.length) refuse(what);
  return {
    name: sourceName,
    type: type === 'single' || type === 'array' ? type : refuse(what),
    recordSize,
    annotations: annotations(source['annotations'] ?? {}, what),
    fieldAnnotations: dictionary(annotations)(source['fieldAnnotations'] ?? {}, what),
    fields,
  };
};

function checkField(value: unknown, recordSize: number, source: string): RecordFieldSpec {
  const field = keys(value, source);
  const fullName = name(field['fullName'], `a field of ${source}`);
  const what = `field ${fullName} of ${source}`;
  const kind = KINDS.find((known) => known === field['kind']) ?? refuse(what);
  const { place } = field;
  if (place !== 'record' && place !== 'tail' && place !== 'nowhere') refuse(what);
  const spec = {
    fullName,
    kind,
    place,
    length: whole(MAX_BATCH_BYTES)(field['length'], what),
    offset: whole(MAX_BATCH_BYTES)(field['offset'], what),
    size: whole(MAX_BATCH_BYTES)(field['size'], what),
    tags: list(64, text)(field['tags'] ?? [], what),
    annotations: annotations(field['annotations'] ?? {}, what),
  } as const;
  return isInRecord(spec, recordSize) ? spec : refuse(what);
}

/** What is read at a fixed place must be there in every record. */
function isInRecord({ kind, place, length, offset, size }: RecordFieldSpec, recordSize: number): boolean {
  if (place === 'nowhere') return true;
  if (place === 'tail') return offset + TAIL_REFERENCE_BYTES <= recordSize && !isFixed(kind);
  return offset + size <= recordSize && size >= sizeOf(kind, length);
}

function sizeOf(kind: Kind, length: number): number {
  return isFixed(kind) ? widthOf(kind) * length : 0;
}

const container: Check<Container> = (value, what) => {
  const given = keys(value, what);
  const texts = (key: string): string => maybeText(given[key], what);
  const { pod, accounts, cgroupId } = given;
  return {
    key: texts('key'),
    id: texts('id'),
    name: texts('name'),
    runtime: RUNTIMES.find((known) => known === given['runtime']) ?? '',
    pid: whole(U32)(given['pid'], what),
    mntns: whole(U32)(given['mntns'], what),
    imageName: texts('imageName'),
    imageDigest: texts('imageDigest'),
    imageId: texts('imageId'),
    startedAt: texts('startedAt'),
    bundle: texts('bundle'),
    ...(typeof cgroupId === 'number' ? { cgroupId } : {}),
    ...(pod === undefined || pod === null ? {} : { pod: checkPod(pod, what) }),
    ...(accounts === undefined || accounts === null ? {} : { accounts: checkAccounts(accounts, what) }),
  };
};

function checkPod(value: unknown, what: string): PodIdentity {
  const given = keys(value, what);
  const texts = (key: string): string => maybeText(given[key], what);
  const { hostNetwork } = given;
  return {
    namespace: texts('namespace'),
    podName: texts('podName'),
    podUid: texts('podUid'),
    containerName: texts('containerName'),
    labels: dictionary(text)(given['labels'] ?? {}, what),
    ownerKind: texts('ownerKind'),
    ownerName: texts('ownerName'),
    sandboxId: texts('sandboxId'),
    ...(typeof hostNetwork === 'boolean' ? { hostNetwork } : {}),
  };
}

function checkAccounts(value: unknown, what: string): Accounts {
  const { users, groups } = keys(value, what);
  const names = pairs(whole(U32), MAX_ENTRIES);
  return { users: names(users, what), groups: names(groups, what) };
}

/** Undefined for a kind of change that a later version has. */
export function checkChange(value: unknown): TableChange | undefined {
  const what = 'a change of its containers';
  const given = keys(value, what);
  const index = (): number => whole(U32)(given['index'], what);
  const mntns = (): number => whole(U32)(given['mntns'], what);
  const since = (): number => time(given['sinceBootNs'], what);
  const selected = (): boolean => truth(given['selected'], what);
  switch (given['kind']) {
    case 'add':
      return {
        kind: 'add',
        ...{ index: index(), mntns: mntns(), sinceBootNs: since(), selected: selected() },
        container: container(given['container'], what),
      };
    case 'leave':
      return { kind: 'leave', index: index(), untilBootNs: time(given['untilBootNs'], what) };
    case 'remove':
      return { kind: 'remove', index: index() };
    case 'unknown':
      return { kind: 'unknown', mntns: mntns(), sinceBootNs: since() };
    case 'notContainer':
      return { kind: 'notContainer', mntns: mntns(), sinceBootNs: since(), selected: selected() };
    default:
      return undefined;
  }
}

export function checkNames(value: unknown): NamesFrame {
  const what = 'a list of names';
  const { of, names } = keys(value, what);
  if (of !== 'users' && of !== 'groups') refuse(what);
  return { of, names: pairs(whole(U32), MAX_NAMES)(names, what) };
}

export function checkHashed(value: unknown): HashedFile {
  const what = 'the hash of a file';
  const { major, minor, inode, ctimeNs, sha256, failure } = keys(value, what);
  const file = {
    major: whole(U32)(major, what),
    minor: whole(U32)(minor, what),
    inode: u64(inode, what),
    ctimeNs: u64(ctimeNs, what),
  };
  if (typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256)) return { ...file, sha256 };
  return { ...file, failure: HASH_FAILURES.find((known) => known === failure) ?? refuse(what) };
}

/** Where the kernel's clock, a 64-bit number of nanoseconds, ends. */
const MAX_CLOCK_MS = 2 ** 64 / 1e6;

/** Whether a worker may have had that time. */
export function isClock(nowMs: number): boolean {
  return nowMs >= 0 && nowMs < MAX_CLOCK_MS;
}

export function checkRelease(value: unknown, sources: number): ReleaseFrame {
  const what = 'the time of an event';
  const { source, nowMs } = keys(value, what);
  const atMs = time(nowMs, what);
  if (!isClock(atMs) && atMs !== Infinity) refuse(what);
  return { source: whole(sources - 1)(source, what), nowMs: atMs };
}

export function checkEnd(value: unknown): RecordingEnd {
  const what = 'its end';
  const losses = dictionary(whole(Number.MAX_SAFE_INTEGER))(keys(value, what)['losses'] ?? {}, what);
  return { losses: new Map(Object.entries(losses)) };
}
