// Says what a module may have meant by the name of a data source or a field that is not there.

import { didYouMean } from '../../runtime/data/nearest.js';
import type { GuestSource } from './guest.js';

/** The sentences of our SDKs. */
const NO_FIELD = /^field (\S+) of data source (\S+) does not exist, but the module needs it$/;
const NO_SOURCE = /^there is no data source (\S+), which the module needs$/;

/** Goes behind the reason for which a module failed in `init`; mostly empty. */
export function nameHint(reason: string, sources: readonly GuestSource[]): string {
  const [, field, of] = NO_FIELD.exec(reason) ?? [];
  if (field !== undefined) {
    const fields = sources.find(({ name }) => name === of)?.fields ?? [];
    return didYouMean(
      field,
      fields.map(({ name }) => name),
    );
  }
  if (!NO_SOURCE.test(reason)) return '';
  return `; there are: ${sources.map(({ name }) => name).join(', ') || 'none'}`;
}
