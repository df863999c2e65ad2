import { describe, expect, it } from 'vitest';
import { Control } from '../pipeline/control.js';
import { accountLine, heldBackLine, passedOverLine, unnoticedLine } from './account.js';

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

  it('does not say that nobody read the output to who has closed it, unless asked', () => {
    const account = (ringFull: number): Parameters<typeof accountLine>[0] => {
      return {
        counts: { ...counts, lostOutput: 5 },
        kernelLosses: new Map([['ring buffer full', ringFull]]),
      };
    };
    expect(accountLine(account(0), false, true)).toBeUndefined();
    const both = '10 events delivered, 2 filtered out, 6 lost (1 ring buffer full, 5 output not read)';
    expect(accountLine(account(1), false, true)).toBe(both);
    expect(accountLine(account(0), true, true)).toContain('5 lost (5 output not read)');
    expect(accountLine(account(0), false)).toContain('5 lost (5 output not read)');
  });

  it('is there with --verbose in any case', () => {
    expect(accountLine({ counts, kernelLosses: new Map() }, true)).toBe(
      '10 events delivered, 2 filtered out, 0 lost',
    );
  });
});

describe('the line on hooks that the kernel passed over', () => {
  it('is not there when it passed over none', () => {
    expect(passedOverLine(new Map())).toBeUndefined();
  });

  it('names the programs, and how often', () => {
    const passedOver = new Map([
      ['ig_sys_exit', 12],
      ['other', 3],
    ]);
    expect(passedOverLine(passedOver)).toBe(
      'Warning: the kernel passed over ig_sys_exit 12 times, other 3 times, as it was not done with it on the same CPU; ' +
        'events may be missing',
    );
  });
});

describe('the line on mount namespaces that were not noticed', () => {
  it('is not there when all were, and else says how many', () => {
    expect(unnoticedLine(0)).toBeUndefined();
    expect(unnoticedLine(7)).toMatch(/^Warning: 7 new mount namespaces were not noticed in time; /);
  });
});

describe('the line on what --fair held back', () => {
  it('is not there when it was nothing', () => {
    expect(heldBackLine([])).toBeUndefined();
  });

  it('names who lost most, and counts the others', () => {
    const named = ['container web', '/system.slice/x.service', 'c', 'd', 'e', 'f'];
    const heldBack = named.map((who, i) => ({ who, count: 100 - i }));
    expect(heldBackLine(heldBack.slice(0, 2))).toBe(
      'Not shown by --fair: 100 events of container web, 99 of /system.slice/x.service.',
    );
    expect(heldBackLine([...heldBack, { who: undefined, count: 2 }])).toBe(
      'Not shown by --fair: 100 events of container web, 99 of /system.slice/x.service, 98 of c, 97 of d, 96 of e, ' +
        '97 of others.',
    );
  });
});
