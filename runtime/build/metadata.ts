// The metadata of a gadget that is being built: read, brought up to date, checked against the other parts.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ANNOTATION } from '../../oci/descriptor.js';
import { YamlError } from '../gadget/located-yaml.js';
import { type Metadata, type MetadataFile, type Mistake, emptyMetadata, readMetadata } from '../gadget/metadata.js';
import type { Annotations } from '../data/field.js';
import type { BuildFile } from './build-file.js';
import { type KnownFields, checkMetadata } from './check-metadata.js';
import type { Architecture } from './ebpf.js';
import { BuildError, MetadataError } from './errors.js';
import type { GadgetFolder } from './folder.js';
import type { Job, Wasm } from './job.js';
import { NO_OBJECT, type ObjectFacts, readObject } from './object.js';
import { METADATA } from './plan.js';

export interface MetadataPart {
  readonly bytes: Uint8Array | undefined;
  readonly metadata: Metadata;
}

/** Throws BuildError, MetadataError, GadgetError, BpfError: what is wrong with metadata or object. */
export async function metadataOf(
  job: Job,
  objects: ReadonlyMap<Architecture, Uint8Array>,
  wasm: Wasm | undefined,
): Promise<MetadataPart> {
  const { folder, plan, options } = job;
  const name = plan.metadata;
  if (name === undefined) return { bytes: undefined, metadata: emptyMetadata(folder.name) };
  const facts = options.validate || options.updateMetadata ? factsOf(job, objects) : new Map<Architecture, ObjectFacts>();
  if (options.updateMetadata) await update(job, name, [...facts.values()][0] ?? NO_OBJECT);
  const bytes = folder.read(name, 'metadata file');
  const parsed = options.validate
    ? await validated(job, bytes, folder.pathOf(name), facts, objects, wasm)
    : await readMetadata(bytes, false);
  return { bytes, metadata: parsed.metadata };
}

/**
 * What the folder's gadget.yaml says, checked by itself alone; a folder without one has a name. Throws BuildError,
 * MetadataError, GadgetError.
 */
export async function readFolderMetadata(
  folder: GadgetFolder,
  file: BuildFile,
  validate: boolean,
): Promise<Metadata> {
  const name = file.metadata ?? METADATA;
  if (file.metadata === undefined && folder.find(name) === undefined) return emptyMetadata(folder.name);
  const bytes = folder.read(name, 'metadata file');
  const { metadata, mistakes } = validate
    ? await located(bytes, folder.pathOf(name))
    : await readMetadata(bytes, false);
  if (mistakes.length > 0) throw new MetadataError(folder.pathOf(name), mistakes);
  return metadata;
}

function factsOf(
  { folder }: Job,
  objects: ReadonlyMap<Architecture, Uint8Array>,
): Map<Architecture, ObjectFacts> {
  try {
    return new Map([...objects].map(([architecture, bytes]) => [architecture, readObject(bytes, folder.name)]));
  } catch (cause) {
    throw new BuildError(
      `cannot tell what the eBPF object declares: ${(cause as Error).message}; --no-validate-metadata builds it as it is`,
      { cause },
    );
  }
}

async function update({ folder, listener }: Job, name: string, facts: ObjectFacts): Promise<void> {
  const { updateMetadata } = await import('./update-metadata.js');
  const path = folder.find(name);
  const before = path === undefined ? undefined : Buffer.from(folder.read(name, 'metadata file')).toString();
  const { text, added } = updateMetadata(before, folder.name, facts);
  if (added.length === 0) {
    listener.note(`Nothing is missing in ${folder.pathOf(name)}.`);
    return;
  }
  writeFileSync(path ?? join(folder.root, name), text);
  listener.note(`${before === undefined ? 'Wrote' : 'Added to'} ${folder.pathOf(name)}: ${added.join(', ')}`);
}

/** Throws MetadataError with all that is wrong. */
async function validated(
  job: Job,
  bytes: Uint8Array,
  path: string,
  facts: ReadonlyMap<Architecture, ObjectFacts>,
  objects: ReadonlyMap<Architecture, Uint8Array>,
  wasm: Wasm | undefined,
): Promise<MetadataFile> {
  const file = await located(bytes, path);
  const mistakes = [...file.mistakes];
  const [first] = objects.values();
  const [firstFacts] = facts.values();
  let fields: KnownFields;
  if (first !== undefined && firstFacts !== undefined) {
    try {
      fields = await fieldsOf(job, file, first, firstFacts, wasm);
    } catch (error) {
      // A module may fail because of a mistake that is told below.
      if (mistakes.length === 0 && checkMetadata(file, firstFacts, undefined).length === 0) throw error;
    }
  }
  for (const [architecture, object] of facts.size === 0 ? [['', NO_OBJECT] as const] : facts) {
    for (const mistake of checkMetadata(file, object, fields)) {
      if (object === firstFacts || facts.size === 0) mistakes.push(mistake);
      else addForArchitecture(mistakes, mistake, architecture);
    }
  }
  mistakes.sort((a, b) => a.line - b.line);
  if (mistakes.length > 0) throw new MetadataError(path, mistakes);
  return file;
}

/** What is wrong with one architecture's object alone. */
function addForArchitecture(mistakes: Mistake[], mistake: Mistake, architecture: string): void {
  const known = mistakes.some(({ line, text }) => line === mistake.line && text === mistake.text);
  if (!known) mistakes.push({ line: mistake.line, text: `${mistake.text} (for ${architecture})` });
}

async function located(bytes: Uint8Array, path: string): Promise<MetadataFile> {
  try {
    return await readMetadata(bytes);
  } catch (error) {
    const { cause } = error as Error;
    if (!(cause instanceof YamlError)) throw error;
    throw new MetadataError(path, [{ line: cause.line, text: cause.message }]);
  }
}

async function fieldsOf(
  { folder, cacheDir }: Job,
  { metadata }: MetadataFile,
  ebpf: Uint8Array,
  facts: ObjectFacts,
  wasm: Wasm | undefined,
): Promise<KnownFields> {
  if (wasm?.isComponent === false) return undefined;
  const { knownFields } = await import('./fields.js');
  // What the module is given and what operators are asked for; the rest of the file may be wrong.
  const forWasm = ([key]: readonly [string, string]): boolean => key.startsWith('operator.oci.wasm.');
  const words = {
    name: folder.name,
    params: { wasm: metadata.wasmParams },
    paramDefaults: Object.fromEntries(Object.entries(metadata.paramDefaults).filter(forWasm)),
    datasources: requestsOf(metadata),
  };
  return knownFields(
    {
      name: folder.name,
      ebpf,
      wasm: wasm?.bytes,
      metadata: Buffer.from(JSON.stringify(words)),
      cacheDir,
    },
    facts,
  );
}

/** Annotations that have operators add fields. */
const REQUEST = /^(formatters|uidgidresolver|filehash)\./;

/** The data sources with nothing but the annotations that ask for fields. */
function requestsOf({ datasources }: Metadata): object {
  const requests = (annotations: Annotations): Annotations =>
    Object.fromEntries(Object.entries(annotations).filter(([key]) => REQUEST.test(key)));
  const sources = Object.entries(datasources).map(([name, source]) => {
    const fields = Object.entries(source.fields).map(([field, { annotations }]) => {
      return [field, { annotations: requests(annotations) }];
    });
    return [name, { fields: Object.fromEntries(fields) as object }];
  });
  return Object.fromEntries(sources) as object;
}

/** The image's annotations. */
export function annotationsOf(metadata: Metadata, builderVersion: string): Record<string, string> {
  const words = {
    [ANNOTATION.title]: metadata.name,
    [ANNOTATION.description]: metadata.description,
    [ANNOTATION.url]: metadata.homepageURL,
    [ANNOTATION.documentation]: metadata.documentationURL,
    [ANNOTATION.source]: metadata.sourceURL,
    [ANNOTATION.builderVersion]: builderVersion,
    ...metadata.annotations,
  };
  return Object.fromEntries(Object.entries(words).filter(([, value]) => value !== ''));
}
