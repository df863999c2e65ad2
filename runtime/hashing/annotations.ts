// How gadget.yaml asks for hashes: by annotations of the field that holds a file's path. `filehash.target` names the field
// to be made, `filehash.major`, `minor`, `inode` and `ctime` those that tell which file it is.

import type { DataSourceSpec } from '../data/spec.js';

/** Name of the field to be made. */
export const TARGET = 'filehash.target';
/** The parameter by which users ask for it; files are always hashed without. */
const ENABLED_BY = 'filehash.enabledBy';

/** Whether files are to be hashed, with these values of the gadget's parameters. */
export function hashesFiles(
  sources: readonly DataSourceSpec[],
  values: ReadonlyMap<string, string>,
): boolean {
  return sources
    .flatMap(({ fieldAnnotations }) => Object.values(fieldAnnotations))
    .some((annotations) => {
      const key = annotations[ENABLED_BY];
      return annotations[TARGET] !== undefined && (key === undefined || values.get(key) === 'true');
    });
}
