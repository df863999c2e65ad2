// Events as lines of JSON that can be compared: chosen fields, one spelling.

/** A number that JavaScript would round, and what stands in front of it is no other part of a number. */
const TEXT_OR_LONG_NUMBER = /"(?:[^"\\]|\\.)*"|(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g;
const MARK = '\u{f8ff}long ';
const MARKED = new RegExp(`"${MARK}(-?\\d+)"`, 'gu');

type Tree = Readonly<Record<string, unknown>>;

/**
 * A line of `-o json` in one spelling: without spaces, with the fields `names` alone, in that order, or else with all
 * as they stand. Throws SyntaxError for what is not JSON.
 */
export function eventLine(line: string, names: readonly string[] | undefined): string {
  const exact = line.replaceAll(TEXT_OR_LONG_NUMBER, (part) =>
    part.startsWith('"') ? part : `"${MARK}${part}"`,
  );
  const event = JSON.parse(exact) as unknown;
  const chosen = names === undefined || !isTree(event) ? event : choose(event, names);
  return JSON.stringify(chosen).replaceAll(MARKED, '$1');
}

function choose(event: Tree, names: readonly string[]): Tree {
  const chosen: Record<string, unknown> = {};
  for (const name of names) {
    const path = name.split('.');
    const value = path.reduce<unknown>(
      (tree, key) => (isTree(tree) && Object.hasOwn(tree, key) ? tree[key] : undefined),
      event,
    );
    if (value === undefined) continue;
    let tree = chosen;
    for (const key of path.slice(0, -1)) tree = isTree(tree[key]) ? tree[key] : (tree[key] = {});
    tree[path.at(-1)!] = value;
  }
  return chosen;
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
