import { describe, expect, it } from 'vitest';
import { didYouMean, nearest } from './nearest.js';

describe('what the user may have meant', () => {
  it('is the name nearest to the one given', () => {
    expect(nearest('proc.com', ['proc.pid', 'proc.comm', 'cwd'])).toBe('proc.comm');
    expect(nearest('PATHS', ['path', 'paths'])).toBe('paths');
  });

  it('is the full name of a last part', () => {
    expect(nearest('comm', ['proc.comm', 'com'])).toBe('proc.comm');
  });

  it('is nothing when nothing is near', () => {
    expect(nearest('zzz', ['proc.pid'])).toBeUndefined();
    expect(didYouMean('zzz', ['proc.pid'])).toBe('');
  });
});
