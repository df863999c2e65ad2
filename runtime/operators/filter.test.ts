import { describe, expect, it } from 'vitest';
import { type TestRow, testBatch, testSource } from '../output/testing.js';
import { filter, parseFilter } from './filter.js';

const source = testSource([
  { name: 'proc', kind: 'none' },
  { name: 'proc.comm', kind: 'cstring' },
  { name: 'pid', kind: 'uint32' },
  { name: 'tty', kind: 'int32', annotations: { 'value.undefined': '4294967295' } },
  { name: 'big', kind: 'uint64' },
  { name: 'signed', kind: 'int64' },
  { name: 'ratio', kind: 'float32' },
  { name: 'upper', kind: 'bool' },
  { name: 'args', kind: 'strings' },
  { name: 'path', kind: 'string' },
  { name: 'raw', kind: 'bytes' },
]);

/** Whether a record passes. */
function passes(expression: string, row: TestRow): boolean {
  const batch = testBatch(source, [row]);
  filter(source, parseFilter(expression)).apply(batch);
  return batch.keep[0] === 1;
}

describe('filter', () => {
  it('compares numbers as numbers', () => {
    for (const [expression, expected] of [
      ['pid=9', true],
      ['pid==9', true],
      ['pid!=9', false],
      ['pid>10', false],
      ['pid<10', true],
      ['pid>=9', true],
      ['pid<=8', false],
      ['pid==0x9', true],
      ['pid>-1', true],
      ['pid<99999999999999999999', true],
      [' pid == 9 ', true],
      ['PID=9', true],
    ] as const) {
      expect([expression, passes(expression, { pid: 9 })]).toEqual([expression, expected]);
    }
  });

  it('compares 64-bit numbers exactly', () => {
    const row = { big: 2n ** 64n - 1n, signed: -(2n ** 53n) - 1n };
    for (const [expression, expected] of [
      ['big==18446744073709551615', true],
      ['big==18446744073709551614', false],
      ['big>18446744073709551614', true],
      ['big<18446744073709551616', true],
      ['big>-1', true],
      ['signed==-9007199254740993', true],
      ['signed<-9007199254740992', true],
      ['signed>=-9007199254740992', false],
      ['signed<0', true],
    ] as const) {
      expect([expression, passes(expression, row)]).toEqual([expression, expected]);
    }
  });

  it('compares fractions as the field holds them', () => {
    expect(passes('ratio==0.1', { ratio: 0.1 })).toBe(true);
    expect(passes('ratio<0.2', { ratio: NaN })).toBe(false);
    expect(passes('ratio!=0.2', { ratio: NaN })).toBe(true);
  });

  it('compares texts by their bytes', () => {
    expect(passes('proc.comm==bash', { 'proc.comm': 'bash' })).toBe(true);
    expect(passes('proc.comm==bash', { 'proc.comm': 'bas' })).toBe(false);
    expect(passes('proc.comm==bash', { 'proc.comm': 'bash2' })).toBe(false);
    expect(passes('proc.comm!=bash', { 'proc.comm': 'bash2' })).toBe(true);
    expect(passes('proc.comm<b', { 'proc.comm': 'ab' })).toBe(true);
    expect(passes('proc.comm>=b', { 'proc.comm': 'ab' })).toBe(false);
    expect(passes('path==é', { path: 'é' })).toBe(true);
    expect(passes('path==', { path: '' })).toBe(true);
  });

  it('takes a list of strings as its words', () => {
    expect(passes('args==ls -l', { args: ['ls', '-l'] })).toBe(true);
    expect(passes('args~^ls -l$', { args: ['ls', '-l'] })).toBe(true);
    expect(passes('args==ls', { args: ['ls', '-l'] })).toBe(false);
  });

  it('matches regular expressions on texts', () => {
    expect(passes('proc.comm~^ba.*$', { 'proc.comm': 'bash' })).toBe(true);
    expect(passes('proc.comm!~^ba', { 'proc.comm': 'bash' })).toBe(false);
    expect(passes('proc.comm~(?i)BASH', { 'proc.comm': 'bash' })).toBe(true);
    expect(passes('proc.comm~^.{2\\,3}$', { 'proc.comm': 'abc' })).toBe(true);
    expect(passes('path~x$', { path: `${'y'.repeat(9000)}x` })).toBe(false);
  });

  it('compares booleans', () => {
    expect(passes('upper==true', { upper: true })).toBe(true);
    expect(passes('upper!=true', { upper: false })).toBe(true);
    expect(passes('upper=false', { upper: true })).toBe(false);
  });

  it('lets undefined values pass only negations', () => {
    const undefinedRow = { tty: -1 };
    for (const [expression, expected] of [
      ['tty==0', false],
      ['tty<5', false],
      ['tty!=5', true],
      ['path==', false],
      ['path~.*', false],
      ['path!~x', true],
    ] as const) {
      expect([expression, passes(expression, undefinedRow)]).toEqual([expression, expected]);
    }
  });

  it('asks for all conditions, and leaves dropped records dropped', () => {
    const batch = testBatch(source, [
      { pid: 1, path: 'a,b' },
      { pid: 1, path: 'c' },
      { pid: 2, path: 'a,b' },
      { pid: 1, path: 'a,b' },
    ]);
    batch.keep[3] = 0;
    filter(source, parseFilter('pid==1,path==a\\,b')).apply(batch);
    expect([...batch.keep.subarray(0, 4)]).toEqual([1, 0, 0, 0]);
  });

  it('says in a sentence what was wrong', () => {
    for (const [expression, message] of [
      ['', 'cannot read filter ""; write a field, one of = == !='],
      ['pid', 'cannot read filter "pid"'],
      ['pidd==x', 'cannot filter test by pidd, which is none of its fields; did you mean pid?'],
      ['proc==x', 'cannot filter test by proc,'],
      ['pid==x', 'cannot compare pid with "x", since it is a whole number; for example pid==1000'],
      ['ratio==', 'cannot compare ratio with "", since it is a number'],
      ['pid~1', 'cannot match pid with a regular expression, since it is not a text'],
      ['upper>true', 'upper is true or false; for example upper==true'],
      ['upper==1', 'upper is true or false'],
      ['path~(', 'write a regular expression, for example path~^ba'],
      ['raw==00', 'cannot filter by raw, which is neither a number nor a text'],
    ] as const) {
      expect(() => filter(source, parseFilter(expression))).toThrow(message);
    }
  });
});
