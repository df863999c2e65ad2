/** Finds the signatures of an image in all three forms. */
import type { Descriptor } from '../descriptor.js';
import type { Reference } from '../reference.js';
import type { Source } from '../target.js';
import { bundleCandidates } from './bundle.js';
import { possibleReferrers, readReferrer } from './referrer.js';
import { candidatesIn } from './simple-signing.js';
import type { Candidate } from './signature.js';
import { possibleTags, readSignatures } from './tag.js';

/** A part of the search: some requests to a registry, so that the later ones are made only if needed. */
type Search = () => Promise<Candidate[]>;

/**
 * Where signatures of `root` may be, cheapest first. The next one is to be asked for when the one before has ended;
 * one that throws does not make the others void.
 */
export function* searches(
  source: Source,
  reference: Reference | undefined,
  root: Descriptor,
): Generator<Search, void, undefined> {
  const tags: Descriptor[] = [];
  yield async () => {
    tags.push(...(await possibleTags(source, reference, root)));
    return [];
  };
  for (const tag of tags) yield async () => candidatesIn(source, await readSignatures(source, tag), 'tag');
  const referrers: Descriptor[] = [];
  yield async () => {
    referrers.push(...(await possibleReferrers(source, root)));
    return [];
  };
  for (const referrer of referrers) yield () => referrerCandidates(source, referrer, root);
}

async function referrerCandidates(
  source: Source,
  descriptor: Descriptor,
  root: Descriptor,
): Promise<Candidate[]> {
  const found = await readReferrer(source, descriptor, root);
  if (found === undefined) return [];
  const { form, manifest } = found;
  return form === 'bundle' ? bundleCandidates(source, manifest) : candidatesIn(source, manifest, form);
}
