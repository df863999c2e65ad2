/** All that can be told of an image without running it, as one document and some texts. */
import { readGadgetImage } from '../../oci/gadget-image.js';
import { OciError } from '../../oci/errors.js';
import { ociArchitecture } from '../../oci/descriptor.js';
import type { ResolvedImage } from '../../oci/resolve.js';
import { emptyMetadata, parseMetadata } from '../gadget/metadata.js';
import { flowchart, sequence } from './diagrams.js';
import { type EbpfInfo, inspectEbpf } from './ebpf.js';
import { InspectError } from './errors.js';
import { type OciInfo, inspectOci } from './oci.js';
import { type WasmInfo, inspectWasm } from './wasm.js';

export interface ImageInfo {
  readonly document: ImageDocument;
  /** Parts to read as they are, by key: `ebpf.flowchart`, `ebpf.sequence`, `oci.metadata`. */
  readonly texts: ReadonlyMap<string, string>;
  /** Why a part that the image has is not in the document: one sentence each. */
  readonly warnings: readonly string[];
}

export interface ImageDocument {
  readonly oci: OciInfo & { readonly metadata?: unknown };
  readonly ebpf?: EbpfInfo;
  readonly wasm?: WasmInfo;
}

/**
 * Reads an image and describes it. A part that is wrong in itself is left out, with a warning.
 * Rejects with OciError for what is no gadget image or cannot be fetched.
 */
export async function inspectImage(resolved: ResolvedImage): Promise<ImageInfo> {
  const oci = await inspectOci(resolved);
  const architecture = oci.architecture ?? ociArchitecture();
  const image = await readGadgetImage(resolved.target, resolved.descriptor, { architecture });
  const warnings = [...image.warnings];
  const attempt = async <T>(part: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await part();
    } catch (error) {
      if (!(error instanceof Error) || error instanceof OciError) throw error;
      warnings.push(error.message);
      return undefined;
    }
  };
  const name = oci.annotations['org.opencontainers.image.title'] ?? resolved.reference?.name ?? 'gadget';
  const { metadata: yaml, ebpf: elf, wasm: module } = image;
  const metadata = yaml && (await attempt(() => parseMetadata(yaml, false)));
  const ebpf = elf && (await attempt(() => inspectEbpf(elf, name, metadata ?? emptyMetadata(name))));
  const wasm = module && (await attempt(() => inspectWasm(module)));
  const tree = yaml && metadata && (await attempt(() => readTree(yaml)));
  return {
    document: {
      oci: { ...oci, ...(tree === undefined ? {} : { metadata: tree }) },
      ...(ebpf === undefined ? {} : { ebpf }),
      ...(wasm === undefined ? {} : { wasm }),
    },
    texts: textsOf(yaml, ebpf),
    warnings,
  };
}

/** gadget.yaml with its own keys; `parseMetadata` has read it before. */
async function readTree(yaml: Uint8Array): Promise<unknown> {
  const { parseLocated } = await import('../gadget/located-yaml.js');
  return parseLocated(new TextDecoder().decode(yaml)).value;
}

function textsOf(yaml: Uint8Array | undefined, ebpf: EbpfInfo | undefined): Map<string, string> {
  const texts = new Map<string, string>();
  if (yaml !== undefined) texts.set('oci.metadata', new TextDecoder().decode(yaml));
  if (ebpf !== undefined) texts.set('ebpf.flowchart', flowchart(ebpf)).set('ebpf.sequence', sequence(ebpf));
  return texts;
}

/** The names of all parts, for `--extra-info`. */
export function partsOf({ document, texts }: ImageInfo): string[] {
  const inDocument = Object.entries(document).flatMap(([group, parts]) =>
    Object.keys(parts as object).map((part) => `${group}.${part}`),
  );
  return [...new Set([...inDocument, ...texts.keys()])].sort();
}

/** One part by its name, a text or a part of the document. Throws InspectError naming those there are. */
export function partOf(info: ImageInfo, key: string): { text: string } | { value: unknown } {
  const text = info.texts.get(key);
  if (text !== undefined) return { text };
  if (!partsOf(info).includes(key)) {
    throw new InspectError(`the image has no part ${key}, only ${partsOf(info).join(', ')}`);
  }
  const [group, part] = key.split('.') as [keyof ImageDocument, string];
  return { value: (info.document[group] as unknown as Record<string, unknown>)[part] };
}
