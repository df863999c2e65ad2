// `ig image list`: the images of the local store.

import { ANNOTATION, MAX_MANIFEST_BYTES, isIndexType } from '../../../oci/descriptor.js';
import type { Descriptor } from '../../../oci/descriptor.js';
import { OciError } from '../../../oci/errors.js';
import type { ImageEntry, Layout } from '../../../oci/layout.js';
import { reachable } from '../../../oci/reachable.js';
import { fullReference } from '../../../oci/reference.js';
import { isArtefact } from '../../../oci/referrers.js';
import { fetchBytes } from '../../../oci/target.js';
import { UsageError } from '../fail.js';
import type { ListFlags } from './commands.js';
import { ageOf, printOut, sizeText, table } from './print.js';
import { openStore } from './store.js';

interface Row {
  readonly repository: string;
  readonly tag: string;
  readonly digest: string;
  /** As RFC 3339; empty when the image does not tell. */
  readonly created: string;
  /** In bytes, of what of it is here. */
  readonly size: number;
  readonly reference: string;
  /** `built` here, or taken from elsewhere. */
  readonly origin: 'built' | 'pulled';
}

const SHORT_DIGEST_LENGTH = 12;

/** Prints the list in the mode of `--output`. Throws UsageError, or what reading the store throws. */
export async function list({ output, trunc }: ListFlags): Promise<void> {
  if (!['columns', 'json', 'jsonpretty'].includes(output)) {
    throw new UsageError(`\`ig image list\` prints columns, json or jsonpretty, not ${output}`);
  }
  const rows = await rowsOf(openStore());
  if (output === 'columns') await printOut(columns(rows, trunc));
  else await printOut(`${JSON.stringify(rows, null, output === 'json' ? undefined : 2)}\n`);
}

async function rowsOf(store: Layout): Promise<Row[]> {
  const images = (await store.list()).filter(({ descriptor }) => !isArtefact(descriptor));
  const facts = new Map<string, Promise<Pick<Row, 'created' | 'size'>>>();
  const rows: Row[] = [];
  for (const image of images) {
    const { digest, descriptor } = image;
    const known = facts.get(digest) ?? factsOf(store, descriptor);
    facts.set(digest, known);
    const { created, size } = await known;
    rows.push({ ...nameParts(image), digest, created, size, origin: image.origin ?? 'pulled' });
  }
  return rows.sort((a, b) => (a.reference < b.reference ? -1 : 1));
}

/** Other programs may give an image any name, or none. */
function nameParts({ reference }: ImageEntry): Pick<Row, 'repository' | 'tag' | 'reference'> {
  const parsed = reference === undefined ? undefined : fullReference(reference);
  if (parsed === undefined) return { repository: reference ?? '', tag: '', reference: reference ?? '' };
  return {
    repository: `${parsed.registry}/${parsed.repository}`,
    tag: parsed.tag ?? '',
    reference: String(parsed),
  };
}

async function factsOf(store: Layout, root: Descriptor): Promise<Pick<Row, 'created' | 'size'>> {
  let size = 0;
  for (const part of (await reachable(store, [root])).values()) {
    if (await store.has(part)) size += part.size;
  }
  return { created: await createdOf(store, root), size };
}

/** What the index says, or its first manifest. */
async function createdOf(store: Layout, root: Descriptor, depth = 0): Promise<string> {
  const own = root.annotations?.[ANNOTATION.created];
  if (own !== undefined) return own;
  try {
    const bytes = await fetchBytes(store, root, MAX_MANIFEST_BYTES, 'a manifest');
    const { annotations, manifests } = JSON.parse(Buffer.from(bytes).toString('utf8')) as {
      annotations?: Record<string, unknown>;
      manifests?: Descriptor[];
    };
    const created = annotations?.[ANNOTATION.created];
    if (typeof created === 'string') return created;
    const first = manifests?.[0];
    return isIndexType(root.mediaType) && first !== undefined && depth === 0
      ? await createdOf(store, first, depth + 1)
      : '';
  } catch (error) {
    if (error instanceof OciError || error instanceof SyntaxError || error instanceof TypeError) return '';
    throw error;
  }
}

function columns(rows: readonly Row[], trunc: boolean): string {
  const digestOf = ({ digest }: Row): string =>
    trunc ? digest.replace('sha256:', '').slice(0, SHORT_DIGEST_LENGTH) : digest;
  const lines = rows.map((row) => [
    row.repository === '' ? '<none>' : row.repository,
    row.tag === '' ? '<none>' : row.tag,
    digestOf(row),
    ageOf(row.created),
    sizeText(row.size),
    row.origin,
  ]);
  return table([['REPOSITORY', 'TAG', 'DIGEST', 'CREATED', 'SIZE', 'ORIGIN'], ...lines]);
}
