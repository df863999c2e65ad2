// What a gadget's own Wasm module reads of the records, as far as gadget.yaml says so by the annotation `wasm.reads`.

import type { DataSource } from './data-source.js';
import type { Annotations, Field } from './field.js';

/**
 * Full names of fields, with commas between them. At a data source: what the module reads of every event, perhaps
 * nothing; without it, it may read everything. At a field that the module adds: what it makes that field from.
 */
export const MODULE_READS = 'wasm.reads';

/** The names in lower case. */
export function namesRead(annotations: Annotations): string[] {
  return (annotations[MODULE_READS] ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '');
}

/** Names in lower case of all fields that the module may read; undefined when gadget.yaml does not say. */
export function declaredReads({ annotations, fieldAnnotations }: DataSource): Set<string> | undefined {
  if (annotations[MODULE_READS] === undefined) return undefined;
  return new Set([annotations, ...Object.values(fieldAnnotations)].flatMap(namesRead));
}

/** The same of those that it reads if `used` are the fields that anything else reads. */
export function moduleReads(source: DataSource, used: Iterable<Field>): Set<string> | undefined {
  const declared = declaredReads(source);
  if (declared === undefined) return undefined;
  const names = namesRead(source.annotations);
  for (const { location, annotations } of used) {
    if (location.in !== 'column') continue;
    // Of a field that gadget.yaml does not know, nobody says what it is made from.
    if (annotations[MODULE_READS] === undefined) return declared;
    names.push(...namesRead(annotations));
  }
  return new Set(names);
}
