/** What makes an image a gadget: reads the parts of a gadget out of an image, and builds such images. */
import {
  ANNOTATION,
  MAX_MANIFEST_BYTES,
  MEDIA_TYPE,
  describe,
  isIndexType,
  isManifestType,
  parseIndex,
  parseManifest,
} from './descriptor.js';
import type { Annotations, Descriptor, Index, Manifest } from './descriptor.js';
import { InvalidImageError } from './errors.js';
import { parseReference } from './reference.js';
import { fetchBytes, withLease } from './target.js';
import type { Source, Target } from './target.js';

const MEBIBYTE = 1024 * 1024;
const MAX_METADATA_BYTES = MEBIBYTE;
const MAX_EBPF_BYTES = 64 * MEBIBYTE;
const MAX_WASM_BYTES = 100 * MEBIBYTE;

/** The parts of a gadget for one architecture; at least one of `metadata`, `ebpf`, `wasm` is there. */
export interface GadgetImage {
  /** Of the index, or of the manifest if the image has no index: what a signature covers. */
  digest: string;
  manifestDigest: string;
  /** Of the index, overridden by the manifest's. */
  annotations: Annotations;
  /** The bytes of `gadget.yaml`. */
  metadata?: Uint8Array;
  /** An eBPF ELF object. */
  ebpf?: Uint8Array;
  /** A WebAssembly module or component. */
  wasm?: Uint8Array;
  /** BTF of kernels that have none; large, so it is fetched only when needed. */
  btfgen?: Descriptor;
  warnings: string[];
}

/**
 * Reads the gadget at `descriptor`, an index or a single manifest.
 * @param options.architecture OCI name (`amd64`, `arm64`); it selects from an index
 * @throws InvalidImageError, NotFoundError, DigestMismatchError
 */
export async function readGadgetImage(
  source: Source,
  descriptor: Descriptor,
  options: { architecture: string },
): Promise<GadgetImage> {
  const { manifest, manifestDigest, annotations } = await selectManifest(
    source,
    descriptor,
    options.architecture,
  );
  const image: GadgetImage = { digest: descriptor.digest, manifestDigest, annotations, warnings: [] };
  await readConfig(source, manifest.config, image);
  for (const layer of manifest.layers) await readLayer(source, layer, image);
  if (image.metadata === undefined && image.ebpf === undefined && image.wasm === undefined) {
    throw new InvalidImageError(
      `${descriptor.digest} is not a gadget image: it has no eBPF program, no Wasm module and no metadata`,
    );
  }
  return image;
}

async function selectManifest(
  source: Source,
  root: Descriptor,
  architecture: string,
): Promise<{ manifest: Manifest; manifestDigest: string; annotations: Annotations }> {
  let chosen = root;
  let outer: Annotations = {};
  if (isIndexType(root.mediaType)) {
    const bytes = await fetchBytes(source, root, MAX_MANIFEST_BYTES, 'the image index');
    const index = parseIndex(bytes, `the index ${root.digest}`);
    chosen = selectPlatform(index, root.digest, architecture);
    outer = index.annotations ?? {};
  } else if (!isManifestType(root.mediaType)) {
    throw new InvalidImageError(`${root.digest} is not an image: its media type is ${root.mediaType}`);
  }
  const bytes = await fetchBytes(source, chosen, MAX_MANIFEST_BYTES, 'the image manifest');
  const manifest = parseManifest(bytes, `the manifest ${chosen.digest}`);
  return { manifest, manifestDigest: chosen.digest, annotations: { ...outer, ...manifest.annotations } };
}

/** Matches on the architecture alone, as the peer does. */
function selectPlatform(index: Index, digest: string, architecture: string): Descriptor {
  const chosen = index.manifests.find(({ platform }) => platform?.architecture === architecture);
  if (chosen !== undefined) return chosen;
  const architectures = new Set(index.manifests.map(({ platform }) => platform?.architecture ?? 'unknown'));
  const available = architectures.size === 0 ? 'none' : [...architectures].join(', ');
  throw new InvalidImageError(
    `the image ${digest} is not made for ${architecture}: its architectures are ${available}`,
  );
}

async function readConfig(source: Source, config: Descriptor, image: GadgetImage): Promise<void> {
  if (config.mediaType === MEDIA_TYPE.gadgetConfig) {
    image.metadata = await fetchBytes(source, config, MAX_METADATA_BYTES, 'the gadget metadata');
  } else if (config.mediaType !== MEDIA_TYPE.emptyJson) {
    image.warnings.push(`the image's config has the unknown type ${config.mediaType} and is ignored`);
  }
}

async function readLayer(source: Source, layer: Descriptor, image: GadgetImage): Promise<void> {
  switch (layer.mediaType) {
    case MEDIA_TYPE.ebpf:
      refuseSecond(image.ebpf, 'eBPF program', image);
      image.ebpf = await fetchBytes(source, layer, MAX_EBPF_BYTES, 'the eBPF program');
      break;
    case MEDIA_TYPE.wasm:
      refuseSecond(image.wasm, 'Wasm module', image);
      image.wasm = await fetchBytes(source, layer, MAX_WASM_BYTES, 'the Wasm module');
      break;
    case MEDIA_TYPE.btfgen:
      refuseSecond(image.btfgen, 'BTF archive', image);
      image.btfgen = layer;
      break;
    case MEDIA_TYPE.emptyJson:
      break;
    default:
      image.warnings.push(`a layer of the image has the unknown type ${layer.mediaType} and is ignored`);
  }
}

function refuseSecond(present: unknown, what: string, image: GadgetImage): void {
  if (present === undefined) return;
  throw new InvalidImageError(`the image ${image.digest} has more than one ${what}`);
}

/** The programs of a gadget for one architecture. */
export interface GadgetPlatform {
  /** OCI name: `amd64`, `arm64`. */
  architecture: string;
  ebpf?: Uint8Array;
  wasm?: Uint8Array;
}

export interface GadgetImageSpec {
  /** The name of the image, in any form `parseReference` takes. */
  ref: string;
  /** The bytes of `gadget.yaml`. */
  metadata?: Uint8Array;
  platforms: readonly GadgetPlatform[];
  /** By their full keys, see `ANNOTATION`. */
  annotations?: Annotations;
  /** For a reproducible image, `sourceDate(process.env)` or nothing: never the present time. */
  created?: Date;
}

/**
 * The time that a reproducible build is to record, from SOURCE_DATE_EPOCH (seconds since 1970, see
 * https://reproducible-builds.org/specs/source-date-epoch/), or `undefined` if it is not set.
 * @throws InvalidImageError if it is not such a number
 */
export function sourceDate(env: Readonly<Record<string, string | undefined>>): Date | undefined {
  const text = env['SOURCE_DATE_EPOCH'];
  if (text === undefined || text === '') return undefined;
  if (!/^[0-9]{1,11}$/.test(text)) {
    throw new InvalidImageError(
      `SOURCE_DATE_EPOCH is "${text}", which is not a number of seconds since 1970`,
    );
  }
  return new Date(Number(text) * 1000);
}

/**
 * Writes a gadget image to `target` and gives it its full reference as name. The same input gives the same digest.
 * @param tag gives the name, where that is more than `target.tag`
 * @returns the descriptor of its index
 * @throws InvalidImageError, InvalidReferenceError
 */
export async function buildGadgetImage(
  target: Target,
  spec: GadgetImageSpec,
  tag = (descriptor: Descriptor, name: string): Promise<void> => target.tag(descriptor, name),
): Promise<Descriptor> {
  const name = String(parseReference(spec.ref));
  return withLease(target, async () => {
    const descriptor = await writeGadgetImage(target, spec);
    await tag(descriptor, name);
    return descriptor;
  });
}

async function writeGadgetImage(target: Target, spec: GadgetImageSpec): Promise<Descriptor> {
  checkSpec(spec);
  const annotations = imageAnnotations(spec);
  const config = await pushConfig(target, spec.metadata, annotations);
  const manifests: Descriptor[] = [];
  for (const platform of [...spec.platforms].sort(byArchitecture)) {
    const manifest = await pushManifest(target, platform, config, annotations);
    manifests.push({ ...manifest, platform: { architecture: platform.architecture, os: 'linux' } });
  }
  const index: Index = { schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests, annotations };
  return push(target, MEDIA_TYPE.index, jsonBytes(index));
}

function checkSpec(spec: GadgetImageSpec): void {
  const architectures = spec.platforms.map((platform) => platform.architecture);
  if (architectures.length === 0)
    throw new InvalidImageError(`${spec.ref} cannot be built for no architecture`);
  if (new Set(architectures).size !== architectures.length) {
    throw new InvalidImageError(`${spec.ref} cannot be built twice for one architecture`);
  }
  const empty = spec.platforms.find(({ ebpf, wasm }) => ebpf === undefined && wasm === undefined);
  if (empty !== undefined && spec.metadata === undefined) {
    throw new InvalidImageError(
      `${spec.ref} cannot be built for ${empty.architecture}: there is no eBPF program, Wasm module or metadata`,
    );
  }
  checkSize('gadget metadata', spec.metadata, MAX_METADATA_BYTES);
  for (const { ebpf, wasm } of spec.platforms) {
    checkSize('eBPF program', ebpf, MAX_EBPF_BYTES);
    checkSize('Wasm module', wasm, MAX_WASM_BYTES);
  }
}

/** What is written must be readable. */
function checkSize(what: string, bytes: Uint8Array | undefined, maxBytes: number): void {
  if (bytes === undefined || bytes.length <= maxBytes) return;
  throw new InvalidImageError(`the ${what} has ${bytes.length} bytes, more than the limit of ${maxBytes}`);
}

/** Sorted, so that the order in which a caller collected them does not change the digest. */
function imageAnnotations({ annotations = {}, created }: GadgetImageSpec): Annotations {
  const all = {
    ...annotations,
    ...(created === undefined ? {} : { [ANNOTATION.created]: created.toISOString().replace('.000Z', 'Z') }),
  };
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function byArchitecture(a: GadgetPlatform, b: GadgetPlatform): number {
  return a.architecture < b.architecture ? -1 : 1;
}

async function pushConfig(
  target: Target,
  metadata: Uint8Array | undefined,
  annotations: Annotations,
): Promise<Descriptor> {
  const config =
    metadata === undefined
      ? await push(target, MEDIA_TYPE.emptyJson, Buffer.from('{}'))
      : await push(target, MEDIA_TYPE.gadgetConfig, metadata);
  return { ...config, annotations };
}

async function pushManifest(
  target: Target,
  { ebpf, wasm }: GadgetPlatform,
  config: Descriptor,
  annotations: Annotations,
): Promise<Descriptor> {
  const layers: Descriptor[] = [];
  if (ebpf !== undefined) layers.push(await push(target, MEDIA_TYPE.ebpf, ebpf));
  if (wasm !== undefined) layers.push(await push(target, MEDIA_TYPE.wasm, wasm));
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.manifest,
    artifactType: MEDIA_TYPE.gadget,
    config,
    layers,
    annotations,
  };
  return push(target, MEDIA_TYPE.manifest, jsonBytes(manifest));
}

async function push(target: Target, mediaType: string, bytes: Uint8Array): Promise<Descriptor> {
  const descriptor = describe(mediaType, bytes);
  if (!(await target.has(descriptor))) await target.push(descriptor, [bytes]);
  return descriptor;
}

function jsonBytes(document: Index | Manifest): Uint8Array {
  return Buffer.from(JSON.stringify(document));
}
