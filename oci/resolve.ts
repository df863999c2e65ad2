/**
 * Finds the image a user means, as `ig run` does: a path, the local store, the built-in gadgets, a registry.
 *
 * The registry client and the tar reader are loaded only when used: most starts need neither.
 */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { checkAllowed } from './allowed.js';
import { ANNOTATION } from './descriptor.js';
import type { Descriptor } from './descriptor.js';
import {
  AuthFileError,
  InvalidImageError,
  NotFoundError,
  OciError,
  StoreError,
  UnreachableError,
  UntrustedImageError,
} from './errors.js';
import { Layout } from './layout.js';
import type { ImageEntry } from './layout.js';
import { fullReference, isTag, parseReference } from './reference.js';
import type { Reference } from './reference.js';
import { isArtefact } from './referrers.js';
import type { RegistryOptions, RegistryRepository } from './registry.js';
import type { TrustPolicyOptions } from './signature/policy.js';
import { withLease } from './target.js';
import type { Progress, Source } from './target.js';

/** When to ask the registry: for every image, only for one that is not here, or for none. */
export type PullPolicy = 'always' | 'missing' | 'never';

export interface ResolveOptions {
  store: Layout;
  /** The gadgets shipped with the program, under their full references. */
  builtin?: Layout;
  registryOptions?: RegistryOptions;
  pull: PullPolicy;
  /**
   * Who must have signed an image that comes from a registry, now or when it came into the store; anybody if
   * `undefined`. Images built here, built-in ones and files that the user names are not asked for signatures.
   */
  trust?: TrustPolicyOptions | undefined;
  /** The images that may be used, see `checkAllowed`; all if empty. */
  allowed?: readonly string[];
  /** Runs a pull, and shows how far it is. */
  showPull?: <T>(pull: (progress: Progress) => Promise<T>) => Promise<T>;
}

export interface ResolvedImage {
  /** Where the image's content is read from; for a pulled image the store it is now in. */
  target: Source;
  /** Of the index, or of the manifest if there is no index. */
  descriptor: Descriptor;
  /** `undefined` for an image in a file that has no reference as its name. */
  reference: Reference | undefined;
  from: 'store' | 'builtin' | 'registry' | 'layout' | 'archive';
  /** For the user: a path, or the registry. */
  location: string;
}

/**
 * Finds the image `text` means, and makes sure that it may be used. A short name (`trace_exec`) is looked for in
 * the store, the built-in gadgets and the registry; a full reference never stands for a built-in gadget.
 * @throws InvalidReferenceError, NotFoundError, UnauthorizedError, UnreachableError, InvalidImageError, StoreError,
 *   NotAllowedError, UntrustedImageError
 */
export async function resolveImage(text: string, options: ResolveOptions): Promise<ResolvedImage> {
  const file = splitPath(text);
  const allowed = options.allowed ?? [];
  if (file !== undefined) {
    checkAllowed(text, undefined, undefined, allowed);
    return resolveFile(file.path, file.name);
  }
  const reference = parseReference(text);
  // Once before anything is asked for in a registry, and again when it is known which image it is.
  checkAllowed(text, reference, reference.digest, allowed);
  const found = await resolveReference(reference, options);
  checkAllowed(text, reference, found.descriptor.digest, allowed);
  await checkTrust(found, options);
  return found;
}

async function resolveReference(reference: Reference, options: ResolveOptions): Promise<ResolvedImage> {
  const { store, builtin } = options;
  if (options.pull === 'always') return pull(reference, options);
  const stored = await lookUp(store, reference).catch((error: unknown) => {
    // Another user's store need not be readable for a built-in gadget; a pull into it will say so.
    if (reference.short && builtin !== undefined && error instanceof StoreError) return undefined;
    throw error;
  });
  if (stored !== undefined) {
    return { target: store, descriptor: stored, reference, from: 'store', location: store.root };
  }
  if (reference.short && builtin !== undefined) {
    const descriptor = await lookUp(builtin, reference);
    if (descriptor !== undefined) {
      return { target: builtin, descriptor, reference, from: 'builtin', location: builtin.root };
    }
  }
  if (options.pull === 'never') {
    const error = new NotFoundError(
      `there is no image ${String(reference)} in ${store.root}, and none is pulled with --pull never, --disallow-pulling, --oci-store-user or settings like them; fetch it with \`ig image pull\``,
    );
    throw await withBuiltinHint(error, reference, builtin);
  }
  return pull(reference, options);
}

/** A store may hold an image from before its signature, or before signatures were asked for: so ask once more. */
async function checkTrust(image: ResolvedImage, options: ResolveOptions): Promise<void> {
  const { descriptor, reference, from } = image;
  if (options.trust === undefined || reference === undefined || from === 'builtin') return;
  if (from === 'store' && descriptor.annotations?.[ANNOTATION.origin] === 'built') return;
  const { copySignatures, verifyImage } = await import('./signature/index.js');
  const { store, trust } = options;
  try {
    await verifyImage(store, reference, descriptor, trust);
  } catch (error) {
    if (!(error instanceof UntrustedImageError)) throw error;
    if (from === 'registry' || options.pull === 'never') throw unverified(error);
    try {
      await withRepository(reference, options, (repository) =>
        copySignatures(repository, store, reference, descriptor),
      );
    } catch (cause) {
      if (!(cause instanceof OciError)) throw cause;
      throw unverified(error, `; nor can signatures be asked for: ${cause.message}`);
    }
    await verifyImage(store, reference, descriptor, trust).catch((again: Error) => {
      throw unverified(again);
    });
  }
}

/** What `ig run` can do about it beside trusting more keys. */
function unverified(error: Error, more = ''): Error {
  if (error instanceof UntrustedImageError)
    error.message += `, and to do without a signature, give --verify-image=false${more}`;
  return error;
}

async function withRepository<T>(
  reference: Reference,
  options: ResolveOptions,
  action: (repository: RegistryRepository) => Promise<T>,
): Promise<T> {
  const { RegistryRepository } = await import('./registry.js');
  const repository = new RegistryRepository(reference, options.registryOptions);
  try {
    return await action(repository);
  } finally {
    await repository.close();
  }
}

async function lookUp(layout: Layout, reference: Reference): Promise<Descriptor | undefined> {
  try {
    return await layout.resolve(String(reference));
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

async function pull(reference: Reference, options: ResolveOptions): Promise<ResolvedImage> {
  const { store: target, builtin, showPull } = options;
  const fetch = (progress?: Progress): Promise<Descriptor> =>
    withRepository(reference, options, (repository) =>
      withLease(target, async () => {
        const { copyImage } = await import('./copy.js');
        const { copySignatures } = await import('./signature/index.js');
        const root = await copyImage(repository, target, String(reference), {
          ...(progress && { progress }),
        });
        await copySignatures(repository, target, reference, root);
        return root;
      }),
    );
  try {
    const descriptor = await (showPull === undefined ? fetch() : showPull(fetch));
    return { target, descriptor, reference, from: 'registry', location: reference.registry };
  } catch (error) {
    if (error instanceof UnreachableError) {
      error.message += '; images can also be pulled elsewhere and run from a file (`ig image export`)';
    }
    throw await withBuiltinHint(error, reference, builtin);
  }
}

/**
 * Someone who asked for a registry's image may be as well served by the built-in gadget of that name, and who
 * mistyped a built-in gadget's name should not go looking for the network.
 */
async function withBuiltinHint(error: unknown, reference: Reference, builtin?: Layout): Promise<Error> {
  if (!(error instanceof OciError) || error instanceof AuthFileError || builtin === undefined)
    return error as Error;
  const { name, short } = reference;
  const found = await lookUp(builtin, parseReference(name));
  if (found !== undefined) error.message += `; there is a built-in gadget ${name}: ig run ${name}`;
  else if (short) {
    const names = (await builtin.list()).flatMap(({ reference }) =>
      reference === undefined ? [] : parseReference(reference).name,
    );
    error.message +=
      names.length === 0
        ? '; no gadgets are built into this ig'
        : `; there is no built-in gadget ${name}, only ${names.join(', ')}`;
  }
  return error;
}

/** Splits `PATH[:NAME]` if `text` is a path at all; the path is the shortest prefix that exists. */
function splitPath(text: string): { path: string; name?: string } | undefined {
  const explicit = /^(?:\.{0,2}\/|\.{1,2}$)/.test(text);
  for (let end = text.indexOf(':'); end >= 0; end = text.indexOf(':', end + 1)) {
    const path = text.slice(0, end);
    if ((explicit || path.endsWith('.tar')) && existsSync(path)) return { path, name: text.slice(end + 1) };
  }
  return explicit || (text.endsWith('.tar') && existsSync(text)) ? { path: text } : undefined;
}

async function resolveFile(path: string, name: string | undefined): Promise<ResolvedImage> {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined)
    throw new NotFoundError(`there is no file or directory ${path} to take an image from`);
  const directory = found.isDirectory();
  if (directory && !existsSync(join(path, 'oci-layout')) && existsSync(join(path, 'gadget.yaml'))) {
    throw new InvalidImageError(
      `${path} holds the sources of a gadget, not an image of it; build that with \`ig image build ${path}\``,
    );
  }
  const target = directory ? new Layout(path) : await openArchive(path);
  const images = (await target.list()).filter((entry) => !isArtefact(entry.descriptor));
  const { descriptor, reference } = selectEntry(images, path, name);
  return {
    target,
    descriptor,
    reference: fullReference(reference ?? ''),
    from: directory ? 'layout' : 'archive',
    location: path,
  };
}

async function openArchive(path: string): Promise<Source & { list(): Promise<ImageEntry[]> }> {
  const { Archive } = await import('./archive.js');
  return Archive.open(path);
}

/** The image `name` means, by full name or tag; without a name, the only image there is. */
function selectEntry(entries: readonly ImageEntry[], path: string, name: string | undefined): ImageEntry {
  const matches = name === undefined ? entries : matchName(entries, name);
  const [first] = matches;
  if (first !== undefined && matches.every(({ digest }) => digest === first.digest)) return first;
  const names = entries.map((entry) => entry.reference ?? entry.digest).join(', ');
  if (entries.length === 0) throw new NotFoundError(`there is no image in ${path}`);
  if (matches.length === 0) throw new NotFoundError(`there is no image ${name} in ${path}, only ${names}`);
  throw new InvalidImageError(
    `there are several images in ${path}: choose one as ${path}:NAME from ${names}`,
  );
}

function matchName(entries: readonly ImageEntry[], name: string): ImageEntry[] {
  const full = tryParse(name)?.toString();
  const exact = entries.filter(
    ({ reference }) => reference !== undefined && [name, full].includes(reference),
  );
  if (exact.length > 0 || !isTag(name)) return exact;
  return entries.filter(({ reference }) => fullReference(reference ?? '')?.tag === name);
}

function tryParse(text: string): Reference | undefined {
  try {
    return parseReference(text);
  } catch {
    return undefined;
  }
}
