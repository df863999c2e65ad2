/**
 * What an image is made of: descriptors, indexes and manifests, their media types, and their strict parsing.
 *
 * Shapes: OCI image spec v1.1 (https://github.com/opencontainers/image-spec), `descriptor.md`,
 * `image-index.md`, `manifest.md`. Gadget media types: Inspektor Gadget, `pkg/oci`.
 */
import { createHash } from 'node:crypto';
import { InvalidImageError, quoted } from './errors.js';
import { isDigest } from './reference.js';

export const MEDIA_TYPE = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  emptyJson: 'application/vnd.oci.empty.v1+json',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  /** `artifactType` of a gadget's manifest. */
  gadget: 'application/vnd.gadget.v1+binary',
  /** `gadget.yaml`, the manifest's config blob. */
  gadgetConfig: 'application/vnd.gadget.config.v1+yaml',
  /** Layer: one eBPF ELF object. */
  ebpf: 'application/vnd.gadget.ebpf.program.v1+binary',
  /** Layer: one WebAssembly module or component. */
  wasm: 'application/vnd.gadget.wasm.program.v1+binary',
  /** Layer: tar.gz of `ID/VERSION/ARCH/KERNEL.btf`. */
  btfgen: 'application/vnd.gadget.btfgen.v1+binary',
} as const;

/** Annotation keys of an image, and the one under which a layout keeps an image's name. */
export const ANNOTATION = {
  title: 'org.opencontainers.image.title',
  description: 'org.opencontainers.image.description',
  url: 'org.opencontainers.image.url',
  documentation: 'org.opencontainers.image.documentation',
  source: 'org.opencontainers.image.source',
  created: 'org.opencontainers.image.created',
  builderVersion: 'io.inspektor-gadget.builder.version',
  refName: 'org.opencontainers.image.ref.name',
  /** In a store's `index.json` only: `built` for an image that was built there, which no outside may claim. */
  origin: 'io.ig.origin',
} as const;

/** Largest index or manifest accepted, in bytes; registries commonly refuse more. */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;
/** Largest single blob accepted, in bytes. */
export const MAX_BLOB_BYTES = 512 * 1024 * 1024;
const MAX_INDEX_ENTRIES = 10_000;
const MAX_LAYERS = 128;
const MAX_ANNOTATIONS = 1000;
/** What is unknown in a document is kept, and must be fit to be written again: `JSON.stringify` recurses. */
const MAX_NESTING = 100;
/** RFC 6838, 4.2, and parameters. */
const MEDIA_TYPE_GRAMMAR = /^[\w!#$&^.+-]{1,127}\/[\w!#$&^.+-]{1,127}(?:;[\x20-\x7e]{0,127})?$/;
/** Of one map, keys and values. An `index.json` holds those of many images, and has a limit itself. */
const MAX_ANNOTATIONS_LENGTH = 64 * 1024;

export interface Platform {
  architecture: string;
  os: string;
}

export type Annotations = Readonly<Record<string, string>>;

/** Points at content: what it is, its digest, its length. */
export interface Descriptor {
  mediaType: string;
  /** `sha256:` and 64 hex digits. */
  digest: string;
  /** In bytes. */
  size: number;
  annotations?: Annotations;
  artifactType?: string;
  platform?: Platform;
}

export interface Index {
  schemaVersion: 2;
  mediaType?: string;
  manifests: Descriptor[];
  annotations?: Annotations;
  /** The manifest this one is about. */
  subject?: Descriptor;
}

export interface Manifest {
  schemaVersion: 2;
  mediaType?: string;
  artifactType?: string;
  config: Descriptor;
  layers: Descriptor[];
  annotations?: Annotations;
  /** The manifest this one is about, such as the image a signature is of. */
  subject?: Descriptor;
}

/** `sha256:HEX` of `bytes`. */
export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** A descriptor for `bytes`. */
export function describe(mediaType: string, bytes: Uint8Array): Descriptor {
  return { mediaType, digest: digestOf(bytes), size: bytes.length };
}

export function isIndexType(mediaType: string): boolean {
  return mediaType === MEDIA_TYPE.index || mediaType === MEDIA_TYPE.dockerIndex;
}

export function isManifestType(mediaType: string): boolean {
  return mediaType === MEDIA_TYPE.manifest || mediaType === MEDIA_TYPE.dockerManifest;
}

/** The OCI (Go) name of an architecture Node.js names `nodeArch`. */
export function ociArchitecture(nodeArch: string = process.arch): string {
  return nodeArch === 'x64' ? 'amd64' : nodeArch;
}

/**
 * Parses an image index (or a layout's `index.json`).
 * @param what names the document in errors
 * @throws InvalidImageError
 */
export function parseIndex(bytes: Uint8Array, what: string): Index {
  const document = parseDocument(bytes, isIndexType, what);
  const manifests = parseDescriptors(document['manifests'], MAX_INDEX_ENTRIES, `manifests of ${what}`);
  return { ...document, schemaVersion: 2, manifests, ...parseSubject(document, what) };
}

/**
 * Parses an image manifest.
 * @param what names the document in errors
 * @throws InvalidImageError
 */
export function parseManifest(bytes: Uint8Array, what: string): Manifest {
  const document = parseDocument(bytes, isManifestType, what);
  return {
    ...document,
    schemaVersion: 2,
    config: parseDescriptor(document['config'], `the config of ${what}`),
    layers: parseDescriptors(document['layers'], MAX_LAYERS, `layers of ${what}`),
    ...parseSubject(document, what),
  };
}

type JsonObject = Record<string, unknown>;

function parseDocument(
  bytes: Uint8Array,
  expected: (mediaType: string) => boolean,
  what: string,
): JsonObject {
  if (bytes.length > MAX_MANIFEST_BYTES) {
    throw new InvalidImageError(`${what} is larger than ${MAX_MANIFEST_BYTES} bytes`);
  }
  if (nestsDeeper(bytes, MAX_NESTING)) {
    throw new InvalidImageError(`${what} is nested deeper than ${MAX_NESTING} levels`);
  }
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new InvalidImageError(`${what} is not JSON`, { cause });
  }
  if (!isObject(document)) throw new InvalidImageError(`${what} is not a JSON object`);
  if (document['schemaVersion'] !== 2) throw new InvalidImageError(`${what} does not have schemaVersion 2`);
  const { mediaType } = document;
  if (mediaType !== undefined && !(typeof mediaType === 'string' && expected(mediaType))) {
    const found = typeof mediaType === 'string' ? quoted(mediaType) : 'that is not a text';
    throw new InvalidImageError(`${what} has the unexpected media type ${found}`);
  }
  return checkOptionalMembers(document, what);
}

function parseSubject({ subject }: JsonObject, what: string): { subject?: Descriptor } {
  return subject === undefined ? {} : { subject: parseDescriptor(subject, `the subject of ${what}`) };
}

/** Whether lists and objects in a JSON text lie in each other more than `limit` times. */
function nestsDeeper(json: Uint8Array, limit: number): boolean {
  const [quote, backslash, opening, closing] = [0x22, 0x5c, [0x5b, 0x7b], [0x5d, 0x7d]];
  let depth = 0;
  let inText = false;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at]!;
    if (byte === quote) inText = !inText;
    else if (inText && byte === backslash) at++;
    else if (!inText && opening.includes(byte) && ++depth > limit) return true;
    else if (!inText && closing.includes(byte)) depth--;
  }
  return false;
}

/** Go writes an empty list as `null`, so that is one here too. */
function parseDescriptors(value: unknown, maxCount: number, what: string): Descriptor[] {
  const list = value ?? [];
  if (!Array.isArray(list)) throw new InvalidImageError(`the ${what} are not a list`);
  if (list.length > maxCount) throw new InvalidImageError(`there are more than ${maxCount} ${what}`);
  return list.map((item) => parseDescriptor(item, `an entry in the ${what}`));
}

/** Keeps members this program does not know, so that rewriting an `index.json` loses nothing. */
function parseDescriptor(value: unknown, what: string): Descriptor {
  if (!isObject(value)) throw new InvalidImageError(`${what} is not a descriptor`);
  const { mediaType, digest, size } = value;
  if (typeof mediaType !== 'string' || !MEDIA_TYPE_GRAMMAR.test(mediaType)) {
    throw new InvalidImageError(`${what} has no valid media type`);
  }
  if (typeof digest !== 'string' || !isDigest(digest)) {
    throw new InvalidImageError(`${what} has no sha256 digest`);
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw new InvalidImageError(`${what} has no valid size`);
  }
  return { ...checkOptionalMembers(value, what), mediaType, digest, size };
}

/** Checks `artifactType`, `annotations` and `platform` where present; returns a copy without `null` members. */
function checkOptionalMembers(owner: JsonObject, what: string): JsonObject {
  const members = Object.fromEntries(Object.entries(owner).filter(([, value]) => value !== null));
  const { annotations, artifactType, platform } = members;
  if (artifactType !== undefined && typeof artifactType !== 'string') {
    throw new InvalidImageError(`${what} has an artifactType that is not a string`);
  }
  if (annotations !== undefined && !isStringMap(annotations)) {
    throw new InvalidImageError(`${what} has annotations that are not a small map of short strings`);
  }
  if (platform !== undefined && !isPlatform(platform)) {
    throw new InvalidImageError(`${what} has a platform without architecture or os`);
  }
  return members;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isStringMap(value: unknown): boolean {
  if (!isObject(value)) return false;
  const entries = Object.entries(value);
  let length = 0;
  for (const [key, item] of entries)
    length += key.length + (typeof item === 'string' ? item.length : Infinity);
  return entries.length <= MAX_ANNOTATIONS && length <= MAX_ANNOTATIONS_LENGTH;
}

function isPlatform(value: unknown): boolean {
  return isObject(value) && typeof value['architecture'] === 'string' && typeof value['os'] === 'string';
}
