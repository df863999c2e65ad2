import { describe, expect, it } from 'vitest';
import { Control } from '../pipeline/control.js';
import { accountLine } from './account.js';

const counts = { ...new Control().counts(), read: 12, delivered: 10, filtered: 2 };

describe('the last line of a run', () => {
  it('is not there when nothing was lost', () => {
    expect(accountLine({ counts, kernelLosses: new Map([['ring buffer full', 0]]) }, false)).toBeUndefined();
  });

  it('names every cause with its count', () => {
    const account = { counts: { ...counts, lostGuest: 3 }, kernelLosses: new Map([['ring buffer full', 4]]) };
    expect(accountLine(account, false)).toBe(
      '10 events delivered, 2 filtered out, 7 lost (4 ring buffer full, 3 Wasm module failed)',
    );
  });

  it('is there with --verbose in any case', () => {
    expect(accountLine({ counts, kernelLosses: new Map() }, true)).toBe(
      '10 events delivered, 2 filtered out, 0 lost',
    );
  });
});
