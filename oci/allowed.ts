/** Decides which images may run at all: `--allowed-gadgets` and its setting. */
import { NotAllowedError } from './errors.js';
import { parseReference } from './reference.js';
import type { Reference } from './reference.js';

/**
 * Refuses an image that no pattern allows; no patterns allow all.
 * @param text what the user asked for
 * @param reference `undefined` for an image in a file, which no pattern can name
 * @param digest `undefined` as long as nobody knows it: then all that may be allowed is
 * @param patterns `NAME:TAG` and `NAME@DIGEST` in any form `parseReference` takes, or the beginning of a full
 *   reference and `*`
 * @throws NotAllowedError, InvalidReferenceError for a pattern that is none
 */
export function checkAllowed(
  text: string,
  reference: Reference | undefined,
  digest: string | undefined,
  patterns: readonly string[],
): void {
  if (patterns.length === 0) return;
  if (reference !== undefined && patterns.some((pattern) => matches(reference, digest, pattern))) return;
  const name = String(reference);
  const what = reference === undefined ? `${text}, a file,` : text === name ? name : `${text} (${name})`;
  throw new NotAllowedError(
    `${what} is not among the gadgets allowed here, ${patterns.join(', ')}: add it to --allowed-gadgets or to operator.oci.allowed-gadgets of the configuration`,
  );
}

function matches(reference: Reference, digest: string | undefined, pattern: string): boolean {
  if (pattern.endsWith('*')) return String(reference).startsWith(pattern.slice(0, -1));
  const allowed = parseReference(pattern);
  if (allowed.registry !== reference.registry || allowed.repository !== reference.repository) return false;
  if (allowed.digest !== undefined) return digest === undefined || allowed.digest === digest;
  // Beside a digest, a tag says nothing: it may be any image of the repository.
  return reference.digest === undefined && allowed.tag === reference.tag;
}
