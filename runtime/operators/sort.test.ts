import { describe, expect, it } from 'vitest';
import { jsonOutput } from '../output/json.js';
import { testBatch, testSource, written } from '../output/testing.js';
import { limiter } from './limiter.js';
import { sorter } from './sort.js';

const FIELDS = [
  { name: 'comm', kind: 'string' },
  { name: 'n', kind: 'uint64', annotations: { 'columns.alias': 'calls' } },
  { name: 't', kind: 'int32', annotations: { 'value.undefined': '0' } },
] as const;
const source = testSource(FIELDS, 'array');
const batch = () =>
  testBatch(source, [
    { comm: 'b', n: 2n ** 53n, t: 1 },
    { comm: 'a', n: 2n ** 53n + 1n },
    { comm: 'é', n: 1, t: -5 },
    { comm: 'b', n: 3, t: 7 },
  ]);

describe('sorter', () => {
  it('sorts by several fields, downwards where asked', () => {
    expect([...sorter(source, 'comm,-n')(batch())]).toEqual([1, 0, 3, 2]);
    expect([...sorter(source, '-n')(batch())]).toEqual([1, 0, 3, 2]);
    expect([...sorter(source, 'N')(batch())]).toEqual([2, 3, 0, 1]);
    expect([...sorter(source, 'calls')(batch())]).toEqual([2, 3, 0, 1]);
  });

  it('puts undefined values last in both directions', () => {
    expect([...sorter(source, 't')(batch())]).toEqual([2, 0, 3, 1]);
    expect([...sorter(source, '-t')(batch())]).toEqual([3, 0, 2, 1]);
  });

  it('puts what is no number last, too', () => {
    const ratios = testSource([{ name: 'ratio', kind: 'float64' }], 'array');
    const rows = testBatch(ratios, [{ ratio: 2 }, { ratio: NaN }, { ratio: 1 }, { ratio: 3 }]);
    expect([...sorter(ratios, 'ratio')(rows)]).toEqual([2, 0, 3, 1]);
    expect([...sorter(ratios, '-ratio')(rows)]).toEqual([3, 0, 2, 1]);
  });

  it('refuses a list of numbers, which may have none', () => {
    const lists = testSource([{ name: 'list', kind: 'int32', length: 2 }], 'array');
    expect(() => sorter(lists, 'list')).toThrow('cannot sort test by list, which is a list of numbers');
  });

  it('leaves out dropped rows', () => {
    const some = batch();
    some.keep[0] = 0;
    expect([...sorter(source, 'n')(some)]).toEqual([2, 3, 1]);
  });

  it('refuses what it cannot sort', () => {
    expect(() => sorter(testSource(FIELDS), 'n')).toThrow('cannot sort test, which streams single events');
    expect(() => sorter(source, 'com')).toThrow(
      'cannot sort test by com, which is none of its fields; did you mean comm?',
    );
    expect(() => sorter(source, ',')).toThrow('--sort names no field');
  });
});

describe('limiter', () => {
  it('keeps the first records of the order', () => {
    const some = batch();
    const rows = sorter(source, '-n')(some);
    limiter(source, 2)!(some, rows);
    expect([...some.keep.subarray(0, 4)]).toEqual([1, 1, 0, 0]);
    expect(written(jsonOutput(source), some, rows)).toMatch(/^\[\{"comm":"a".*\{"comm":"b"[^{]*\}\]\n$/);
  });

  it('counts kept records only', () => {
    const some = batch();
    some.keep[0] = 0;
    limiter(source, 1)!(some);
    expect([...some.keep.subarray(0, 4)]).toEqual([0, 1, 0, 0]);
  });

  it('is off at -1 and refuses other nonsense', () => {
    expect(limiter(source, -1)).toBeUndefined();
    expect(() => limiter(source, -2)).toThrow('cannot limit to -2 entries');
    expect(() => limiter(source, 1.5)).toThrow('whole number');
    expect(() => limiter(testSource(FIELDS), 3)).toThrow('streams single events');
  });
});
