import { describe, expect, it } from 'vitest';
import { difference } from './difference.js';

/** The difference of two texts, a letter a line. */
function between(expected: string, found: string, most = 100): string[] {
  return difference([...expected], [...found], most);
}

describe('the difference of two lists of lines', () => {
  it('is nothing for the same', () => {
    expect(between('abc', 'abc')).toEqual([]);
    expect(between('', '')).toEqual([]);
  });

  it('marks what is missing and what is new, with the lines beside it', () => {
    expect(between('abcdefgh', 'abcxefgh')).toEqual(['  c', '- d', '+ x', '  e']);
    expect(between('abc', 'bc')).toEqual(['- a', '  b']);
    expect(between('bc', 'abcd')).toEqual(['+ a', '  b', '  c', '+ d']);
    expect(between('', 'ab')).toEqual(['+ a', '+ b']);
  });

  it('leaves out what is the same between two differences', () => {
    expect(between('abcdefg', 'xbcdefy')).toEqual(['- a', '+ x', '  b', '  …', '  f', '- g', '+ y']);
  });

  it('is cut where it becomes too long', () => {
    expect(between('', 'abcde', 2)).toEqual(['+ a', '+ b', '… and 3 lines more']);
  });

  it('is told for lists of thousands', () => {
    const many = Array.from({ length: 5000 }, (_, i) => `${i}`);
    const others = many.map((line) => `${line}'`);
    expect(difference(many, others, 10)).toHaveLength(11);
    expect(difference(many, [...many.slice(0, 2500), 'new', ...many.slice(2500)], 10)).toEqual([
      '  2499',
      '+ new',
      '  2500',
    ]);
  });
});
