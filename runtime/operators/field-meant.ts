// The field that a user means by a name given to an operator.

import type { DataSource } from '../data/data-source.js';
import type { Field } from '../data/field.js';
import { didYouMean } from '../data/nearest.js';
import { OperatorError } from './errors.js';

/** What is done by the field, as a verb. */
export type Doing = 'filter' | 'sort';

/** The field that is meant by `name`, see `DataSource.fieldsMeant`. Throws OperatorError for none, or several. */
export function fieldMeant(doing: Doing, source: DataSource, name: string): Field {
  const [field, other] = source.fieldsMeant(name);
  if (field === undefined) throw unknownField(doing, [source], name);
  if (other === undefined) return field;
  throw new OperatorError(`${name} could be ${field.fullName} or ${other.fullName}; give the full name`);
}

/** Says that none of the data sources has a field `name`. */
export function unknownField(doing: Doing, sources: readonly DataSource[], name: string): OperatorError {
  const known = sources.flatMap((source) => source.valueFields().map(({ fullName }) => fullName));
  const names = sources.map((source) => source.name).join(' or ');
  const whose = sources.length > 1 ? 'their' : 'its';
  return new OperatorError(
    `cannot ${doing} ${names} by ${name}, which is none of ${whose} fields${didYouMean(name, known)}`,
  );
}
