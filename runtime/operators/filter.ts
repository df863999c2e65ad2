// Operator `filter`: keeps the records whose fields match what the user wrote (`proc.comm~^ba,error==ENOENT`).

import { Span } from '../data/batch.js';
import type { DataSource } from '../data/data-source.js';
import { type Field, type Locator, locatorOf } from '../data/field.js';
import { isFixed, isText } from '../data/kind.js';
import { type Comparison, numberComparison, textComparison, textEquality } from './comparison.js';
import { OperatorError } from './errors.js';
import { fieldMeant } from './field-meant.js';
import type { BatchStep } from './operator.js';

export interface Filter {
  readonly apply: BatchStep;
  /** The fields it reads. */
  readonly fields: readonly Field[];
}

/** A condition as it is written. */
export interface Rule {
  /** The one data source that it is about; left out, every one that has the field. */
  readonly source?: string;
  readonly field: string;
  readonly operator: string;
  readonly value: string;
}

const EXAMPLE = 'for example proc.comm==bash';

/** One condition: a field, how it is tested, and what to answer for an undefined value. */
interface Condition {
  readonly field: Field;
  readonly locate: Locator;
  readonly test: (span: Span) => boolean;
  readonly ifUndefined: boolean;
}

/** What an operator says about the order of the field's value and the one written: below 0, 0 or above. */
const ORDER_TESTS: Readonly<Record<string, (order: number) => boolean>> = {
  '=': (order) => order === 0,
  '==': (order) => order === 0,
  '!=': (order) => order !== 0,
  '>': (order) => order > 0,
  '>=': (order) => order >= 0,
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
};

/**
 * Reads a filter: conditions `field OP value` with OP one of = == != > >= < <= ~ !~, joined by commas that mean
 * "and"; a comma in a value is written `\,`, and white space around it does not count. `source:field` is the field
 * of that data source only. Throws OperatorError.
 */
export function parseFilter(expression: string): Rule[] {
  return expression
    .split(/(?<!\\),/)
    .map((condition) => condition.replaceAll('\\,', ','))
    .map(parseRule);
}

function parseRule(text: string): Rule {
  const match = /^\s*(?:([^\s:=!<>~]+):)?([^\s:=!<>~]+)\s*(==|!=|!~|>=|<=|=|>|<|~)(.*)$/s.exec(text);
  if (match === null) {
    throw new OperatorError(
      `cannot read filter "${text}"; write a field, one of = == != > >= < <= ~ !~, and a value, ${EXAMPLE}`,
    );
  }
  const [, source, field, operator, value] = match as unknown as [unknown, string?, ...string[]];
  const rule = { field: field!, operator: operator!, value: value!.trim() };
  return source === undefined ? rule : { source, ...rule };
}

/**
 * Compiles rules for a data source, whatever others they are about: all must hold. Numbers compare as numbers, texts
 * by their bytes, lists of strings as their words with one space between them.
 * An undefined value is not equal to anything and matches nothing: only != and !~ hold for it.
 * ~ takes a regular expression of JavaScript (and Go's `(?i)` at its start). It runs on the first 8 KiB of a
 * text; one that backtracks without end is the user's own doing, and is bounded by nothing else.
 * Throws OperatorError, and says in one sentence what was wrong.
 */
export function filter(source: DataSource, rules: readonly Rule[]): Filter {
  const conditions = rules.map((rule) => conditionOf(source, rule));
  const span = new Span();
  const apply: BatchStep = (batch) => {
    for (let row = 0; row < batch.count; row++) {
      if (batch.keep[row] === 0) continue;
      for (let i = 0; i < conditions.length; i++) {
        const { locate, test, ifUndefined } = conditions[i]!;
        if (locate(batch, row, span) ? test(span) : ifUndefined) continue;
        batch.keep[row] = 0;
        break;
      }
    }
  };
  return { apply, fields: conditions.map(({ field }) => field) };
}

function conditionOf(source: DataSource, { field: name, operator, value }: Rule): Condition {
  const field = fieldMeant('filter', source, name);
  return {
    field,
    locate: locatorOf(field),
    test: compileTest(field, operator, value),
    ifUndefined: operator.startsWith('!'),
  };
}

function compileTest(field: Field, operator: string, value: string): (span: Span) => boolean {
  if (operator.endsWith('~')) return regexTest(field, value, operator === '!~');
  const isEquality = operator.endsWith('=') && operator !== '>=' && operator !== '<=';
  if (isText(field.kind)) {
    if (!isEquality) return orderTest(textComparison(value, field.kind), operator);
    const equal = textEquality(value, field.kind);
    return operator === '!=' ? (span) => !equal(span) : equal;
  }
  if (!isFixed(field.kind) || field.length !== 1) {
    throw new OperatorError(
      `cannot filter by ${field.fullName}, which is neither a number nor a text; ${EXAMPLE}`,
    );
  }
  if (field.kind === 'bool') return boolTest(field, operator, value, isEquality);
  return orderTest(numberComparison(field, value), operator);
}

function orderTest(compare: Comparison, operator: string): (span: Span) => boolean {
  const holds = ORDER_TESTS[operator]!;
  return (span) => holds(compare(span));
}

function boolTest(
  field: Field,
  operator: string,
  value: string,
  isEquality: boolean,
): (span: Span) => boolean {
  if (!isEquality || (value !== 'true' && value !== 'false')) {
    throw new OperatorError(
      `cannot filter with ${field.fullName}${operator}${value}, since ${field.fullName} is true or false; ` +
        `for example ${field.fullName}==true`,
    );
  }
  const wanted = (value === 'true') === (operator !== '!=');
  return (span) => (span.bytes[span.start] !== 0) === wanted;
}

/** Longer texts are matched by their beginning only: bounds the work that an expression does per event. */
const MAX_MATCHED_BYTES = 8192;

function regexTest(field: Field, pattern: string, negated: boolean): (span: Span) => boolean {
  if (!isText(field.kind)) {
    throw new OperatorError(
      `cannot match ${field.fullName} with a regular expression, since it is not a text; ` +
        `compare it, for example ${field.fullName}==1`,
    );
  }
  const regex = compileRegex(field, pattern);
  const decoder = new TextDecoder();
  const isList = field.kind === 'strings';
  return (span) => {
    const end = Math.min(span.end, span.start + MAX_MATCHED_BYTES);
    // The engine matches strings only, so this makes one per event.
    let text = decoder.decode(span.bytes.subarray(span.start, end));
    if (isList) text = text.replace(/\0$/, '').replaceAll('\0', ' ');
    return regex.test(text) !== negated;
  };
}

function compileRegex(field: Field, pattern: string): RegExp {
  const flags = /^\(\?([ims]+)\)/.exec(pattern);
  try {
    return new RegExp(pattern.slice(flags?.[0].length ?? 0), `u${flags === null ? '' : flags[1]!}`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new OperatorError(
      `cannot filter ${field.fullName}: ${reason}; write a regular expression, for example ${field.fullName}~^ba`,
      { cause: error },
    );
  }
}
