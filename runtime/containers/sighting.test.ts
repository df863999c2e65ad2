import { describe, expect, it } from 'vitest';
import { sinceOf } from './sighting.js';

describe('sinceOf', () => {
  it('is a little before an exec was seen', () => {
    expect(sinceOf(5e9)).toBeLessThan(5e9);
    expect(sinceOf(5e9)).toBeGreaterThan(4.99e9);
    expect(sinceOf(5e9, 1e9)).toBe(sinceOf(5e9));
  });

  it('is after whoever had the number of the namespace was seen a moment ago', () => {
    const before = 5e9 - 100_000;
    expect(sinceOf(5e9, before)).toBeGreaterThan(before);
    expect(sinceOf(5e9, before)).toBeLessThan(5e9);
  });
});
