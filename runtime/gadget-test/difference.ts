// The difference between two lists of lines, for people to read.

/** Lines around a difference that are shown too. */
const CONTEXT = 1;
/** More is not compared line by line. */
const MAX_PAIRS = 4_000_000;

type Line = { readonly mark: ' ' | '-' | '+'; readonly text: string };

/** Lines marked `-` (expected), `+` (found) and ` ` (both), at most about `most`; empty when they are the same. */
export function difference(expected: readonly string[], found: readonly string[], most: number): string[] {
  const lines = compare(expected, found);
  const isNear = lines.map((_, i) =>
    lines.slice(Math.max(0, i - CONTEXT), i + CONTEXT + 1).some(({ mark }) => mark !== ' '),
  );
  const shown = lines.flatMap(({ mark, text }, i) => {
    if (isNear[i]) return `${mark} ${text}`;
    return isNear[i - 1] ? '  …' : [];
  });
  if (shown.at(-1) === '  …') shown.pop();
  return shown.length <= most ? shown : [...shown.slice(0, most), `… and ${shown.length - most} lines more`];
}

function compare(expected: readonly string[], found: readonly string[]): Line[] {
  let start = 0;
  while (start < expected.length && start < found.length && expected[start] === found[start]) start++;
  let end = 0;
  const same = (): boolean => expected[expected.length - 1 - end] === found[found.length - 1 - end];
  while (end < Math.min(expected.length, found.length) - start && same()) end++;
  return [
    ...both(expected.slice(0, start)),
    ...compareMiddle(expected.slice(start, expected.length - end), found.slice(start, found.length - end)),
    ...both(expected.slice(expected.length - end)),
  ];
}

function both(lines: readonly string[]): Line[] {
  return lines.map((text) => ({ mark: ' ', text }));
}

/** By the longest common subsequence. */
function compareMiddle(expected: readonly string[], found: readonly string[]): Line[] {
  const width = found.length + 1;
  const all = (mark: '-' | '+', lines: readonly string[]): Line[] => lines.map((text) => ({ mark, text }));
  if (expected.length * width > MAX_PAIRS) return [...all('-', expected), ...all('+', found)];
  const common = new Uint32Array((expected.length + 1) * width);
  for (let i = expected.length - 1; i >= 0; i--) {
    for (let j = found.length - 1; j >= 0; j--) {
      common[i * width + j] =
        expected[i] === found[j]
          ? common[(i + 1) * width + j + 1]! + 1
          : Math.max(common[(i + 1) * width + j]!, common[i * width + j + 1]!);
    }
  }
  const lines: Line[] = [];
  let [i, j] = [0, 0];
  while (i < expected.length && j < found.length) {
    if (expected[i] === found[j]) {
      lines.push({ mark: ' ', text: expected[i++]! });
      j++;
    } else if (common[(i + 1) * width + j]! >= common[i * width + j + 1]!)
      lines.push({ mark: '-', text: expected[i++]! });
    else lines.push({ mark: '+', text: found[j++]! });
  }
  return [...lines, ...all('-', expected.slice(i)), ...all('+', found.slice(j))];
}
