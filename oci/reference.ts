/**
 * Parses and normalises the names users give to images.
 *
 * Grammar, from distribution/reference (https://github.com/distribution/reference, `reference.go`):
 *
 *     reference  := name [ ":" tag ] [ "@" digest ]
 *     name       := [ registry "/" ] repository
 *     registry   := host [ ":" port ]
 *     host       := label *( "." label ) | "[" IPv6 address "]"
 *     label      := letter or digit, then letters, digits and inner "-"
 *     repository := component *( "/" component )
 *     component  := alnum *( separator alnum )       ; alnum: lower-case letters and digits
 *     separator  := "." | "_" | "__" | 1*"-"
 *     tag        := word character, then up to 127 of word characters, "." and "-"
 *     digest     := "sha256:" 64 lower-case hex digits
 *
 * The first component is a registry only if it is `localhost` or holds a ".", a ":" or an upper-case letter.
 * Defaults are the peer's: registry `ghcr.io`, one-component names live in `inspektor-gadget/gadget/`,
 * tag `latest` when there is neither tag nor digest.
 */
import { InvalidReferenceError, quoted } from './errors.js';

const DEFAULT_REGISTRY = 'ghcr.io';
const DEFAULT_NAMESPACE = 'inspektor-gadget/gadget/';
const DEFAULT_TAG = 'latest';

/** Longest `registry/repository`, as in distribution/reference. */
const MAX_NAME_LENGTH = 255;
const MAX_TEXT_LENGTH = MAX_NAME_LENGTH + 1 + 128 + 1 + 71;

const LABEL = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?';
const REGISTRY = new RegExp(`^(?:${LABEL}(?:\\.${LABEL})*|\\[[0-9a-fA-F:]+\\])(?::[0-9]{1,5})?$`);
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** A normalised reference; `String(reference)` is its full form, the name it has in a store. */
export class Reference {
  /** Host and optional port, for example `ghcr.io` or `localhost:5000`. */
  readonly registry: string;
  readonly repository: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
  /** Whether the user gave a bare gadget name (`trace_exec`, `trace_exec:latest`): no registry, no "/". */
  readonly short: boolean;

  constructor(parts: {
    registry: string;
    repository: string;
    tag?: string | undefined;
    digest?: string | undefined;
    short?: boolean;
  }) {
    this.registry = parts.registry;
    this.repository = parts.repository;
    this.tag = parts.tag;
    this.digest = parts.digest;
    this.short = parts.short ?? false;
  }

  /** The last component of the repository: a gadget's own name. */
  get name(): string {
    return this.repository.slice(this.repository.lastIndexOf('/') + 1);
  }

  toString(): string {
    const tag = this.tag === undefined ? '' : `:${this.tag}`;
    const digest = this.digest === undefined ? '' : `@${this.digest}`;
    return `${this.registry}/${this.repository}${tag}${digest}`;
  }
}

/** Whether `text` is a digest this program understands. */
export function isDigest(text: string): boolean {
  return DIGEST.test(text);
}

/** Whether `text` is a tag by the grammar above. */
export function isTag(text: string): boolean {
  return TAG.test(text);
}

/**
 * Parses `text` and fills in the defaults.
 * @throws InvalidReferenceError naming the part that is wrong
 */
export function parseReference(text: string): Reference {
  if (text.length > MAX_TEXT_LENGTH) {
    throw new InvalidReferenceError(
      `${quoted(text)} is not an image reference: it is longer than ${MAX_TEXT_LENGTH} characters`,
    );
  }
  const { name, tag, digest } = splitReference(text);
  if (tag !== undefined && !isTag(tag)) throw invalid(text, `${quoted(tag)} is not a tag`);
  if (digest !== undefined && !isDigest(digest)) {
    throw invalid(text, `${quoted(digest)} is not a digest (sha256: and 64 lower-case hex digits)`);
  }
  const { registry, path } = splitRegistry(name);
  const short = registry === undefined && !path.includes('/');
  const reference = new Reference({
    registry: registry ?? DEFAULT_REGISTRY,
    repository: short ? DEFAULT_NAMESPACE + path : path,
    tag: tag ?? (digest === undefined ? DEFAULT_TAG : undefined),
    digest,
    short,
  });
  checkName(text, reference, path);
  return reference;
}

/** The reference whose full form `text` is, as names in a store are; `undefined` for other programs' names. */
export function fullReference(text: string): Reference | undefined {
  try {
    const reference = parseReference(text);
    return String(reference) === text ? reference : undefined;
  } catch (error) {
    if (error instanceof InvalidReferenceError) return undefined;
    throw error;
  }
}

function splitReference(text: string): { name: string; tag?: string; digest?: string } {
  const at = text.indexOf('@');
  const named = at < 0 ? text : text.slice(0, at);
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1);
  return {
    name: colon < 0 ? named : named.slice(0, colon),
    ...(colon < 0 ? {} : { tag: named.slice(colon + 1) }),
    ...(at < 0 ? {} : { digest: text.slice(at + 1) }),
  };
}

function splitRegistry(name: string): { registry?: string; path: string } {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(slash, 0));
  const isRegistry = first === 'localhost' || /[.:A-Z]/.test(first);
  return isRegistry ? { registry: first, path: name.slice(slash + 1) } : { path: name };
}

function checkName(text: string, reference: Reference, path: string): void {
  if (!REGISTRY.test(reference.registry))
    throw invalid(text, `${quoted(reference.registry)} is not a registry`);
  const wrong = path.split('/').find((component) => !COMPONENT.test(component));
  if (wrong !== undefined) {
    const what =
      path === ''
        ? 'it has no name'
        : `${quoted(wrong)} is not a name of lower-case letters, digits and . _ -`;
    throw invalid(text, what);
  }
  if (reference.registry.length + 1 + reference.repository.length > MAX_NAME_LENGTH) {
    throw invalid(text, `its name is longer than ${MAX_NAME_LENGTH} characters`);
  }
}

function invalid(text: string, why: string): InvalidReferenceError {
  return new InvalidReferenceError(`${quoted(text)} is not an image reference: ${why}`);
}
