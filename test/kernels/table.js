// @ts-check
// What came of the tests on each kernel, as a table: a line for each kind of hook, and for each group of other tests.

/** @typedef {{ file: string, group: string, name: string, state: string, note: string }} Result */
/**
 * One column. `skipped` says why there are no results, `failure` what went wrong beside them; `running` that more will come.
 * @typedef {{ name: string, release: string, seconds: number, results: Result[], skipped?: string, failure?: string, running?: true }} Column
 */

/**
 * vitest puts the words of a title that come from a table in quotes.
 * @type {(name: string) => string}
 */
function plain(name) {
  return name.replaceAll("'", '');
}

/** @type {(result: Result) => string} */
function lineOf({ file, group, name }) {
  if (file === 'test/kernels/hooks.test.ts') return `${group}: ${plain(name)}`;
  const topic = /([^/]+)\.test\.ts$/.exec(file)?.[1] ?? file;
  return `${topic}: ${group || name}`;
}

/** @type {(results: readonly Result[]) => string} */
function cell(results) {
  if (results.length === 0) return '';
  const count = (/** @type {string} */ state) => results.filter((result) => result.state === state).length;
  const failed = count('failed');
  if (failed > 0) return `${failed} FAILED`;
  if (count('passed') === 0) return 'no';
  return results.length === 1 ? 'ok' : `${count('passed')} ok`;
}

/** @type {(rows: readonly (readonly string[])[]) => string} */
function aligned(rows) {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)));
  const text = rows.map((row) => `| ${row.map((word, i) => word.padEnd(widths[i] ?? 0)).join(' | ')} |`);
  return [text[0], `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...text.slice(1)].join(
    '\n',
  );
}

/** @type {(columns: readonly Column[]) => string[]} */
function notes(columns) {
  /** @type {Map<string, string[]>} */
  const kernels = new Map();
  const add = (/** @type {string} */ note, /** @type {string} */ name) =>
    kernels.set(note, [...new Set([...(kernels.get(note) ?? []), name])]);
  for (const { name, results, skipped, failure } of columns) {
    if (skipped !== undefined) add(`SKIPPED: ${skipped}`, name);
    if (failure !== undefined) add(`FAILED: ${failure}`, name);
    for (const result of results) {
      if (result.state === 'skipped')
        add(`no ${result.group}: ${plain(result.name)}: ${result.note || 'no reason given'}`, name);
    }
  }
  return [...kernels].map(([note, names]) => `${names.join(', ')}: ${note}`);
}

/**
 * The table in Markdown, and below it why things are missing.
 * @type {(columns: readonly Column[]) => string}
 */
export function tableOf(columns) {
  const ran = columns.filter(({ skipped }) => skipped === undefined);
  const lines = [...new Set(ran.flatMap(({ results }) => results.map(lineOf)))];
  const rows = lines.map((line) => [
    line,
    ...ran.map(({ results }) => cell(results.filter((result) => lineOf(result) === line))),
  ]);
  const head = ['', ...ran.map(({ name, release }) => (name === release ? name : `${name} (${release})`))];
  const times = ['seconds', ...ran.map(({ seconds }) => String(seconds))];
  return [aligned([head, ...rows, times]), '', ...notes(columns)].join('\n');
}

const MARKS = ['<!-- table of kernels -->\n', '<!-- end of the table -->\n'];

/**
 * A document with the table in the place of what is between its marks. Throws if there are none.
 * @type {(document: string, columns: readonly Column[]) => string}
 */
export function intoMarkdown(document, columns) {
  const [begin, end] = MARKS.map((mark) => document.indexOf(mark));
  if (begin < 0 || end < begin)
    throw new Error(`there is no line ${MARKS[0].trim()} and ${MARKS[1].trim()} after it`);
  const [table, reasons] = tableOf(columns).split('\n\n');
  const list = (reasons ?? '')
    .split('\n')
    .map((reason) => `- ${reason}`)
    .join('\n');
  return `${document.slice(0, begin + MARKS[0].length)}\n${table}\n\n${list}\n\n${document.slice(end)}`;
}

/**
 * Ends like `make test`: tests of all kernels, and each kernel without results as one.
 * @type {(columns: readonly Column[]) => { text: string, failed: number }}
 */
export function summary(columns) {
  const count = (/** @type {string} */ state) =>
    columns.flatMap(({ results }) => results).filter((result) => result.state === state).length;
  const failed = count('failed') + columns.filter(({ failure }) => failure !== undefined).length;
  const skipped = count('skipped') + columns.filter(({ skipped }) => skipped !== undefined).length;
  return { text: `${count('passed')} passed, ${failed} failed, ${skipped} skipped`, failed };
}
