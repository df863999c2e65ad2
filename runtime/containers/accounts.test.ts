import { describe, expect, it } from 'vitest';
import { parseIdMap, parseNames } from './accounts.js';

const SAME = parseIdMap('         0          0 4294967295\n');

describe('parseNames', () => {
  const namesOf = (text: string, map = SAME): [number, string][] => [...parseNames(text, map)];

  it('takes the names by their ids', () => {
    expect(namesOf('root:x:0:0:root:/root:/bin/sh\napp:x:1234:1234::/:/bin/sh\n')).toEqual([
      [0, 'root'],
      [1234, 'app'],
    ]);
    expect(namesOf('wheel:x:10:\nstaff::50')).toEqual([
      [10, 'wheel'],
      [50, 'staff'],
    ]);
  });

  it('has the first line of an id count', () => {
    expect(namesOf('root:x:0:\ntoor:x:0:\n')).toEqual([[0, 'root']]);
  });

  it('leaves out what is no line of a name and an id', () => {
    expect(
      namesOf('\n# comment\nroot\nroot:x\nroot:x:\nroot:x:0x1:\nroot:x:-1:\nroot:x:99999999999:\n:x:1:\n'),
    ).toEqual([]);
  });

  it('leaves out ids that stand for nobody', () => {
    expect(namesOf('none:x:4294967295:\n')).toEqual([]);
  });

  it.each([
    'a\u001b[31mb',
    'a\tb',
    'a\u0085b',
    'a\u202eb',
    'a b',
    'a\u00a0b',
    'a\u2028b',
    'a\r',
    'a\uFFFDb',
    'é'.repeat(33),
  ])('leaves out a name that may not be what it looks like: %j', (name) => {
    expect(namesOf(`${name}:x:1:\nok:x:2:\n`)).toEqual([[2, 'ok']]);
  });

  it('takes names in any script, up to 64 bytes', () => {
    expect(namesOf(`${'é'.repeat(32)}:x:1:\n`)).toEqual([[1, 'é'.repeat(32)]]);
  });

  it('takes no more than 2,048 names', () => {
    const lines = Array.from({ length: 5000 }, (_, id) => `user${id}:x:${id}:`);
    const names = parseNames(lines.join('\n'), SAME);
    expect(names.size).toBe(2048);
    expect(names.get(2047)).toBe('user2047');
  });

  it('counts ids as the host does where the container has a user namespace', () => {
    const map = parseIdMap('         0     100000       1000\n      1000       1000          1\n');
    expect(namesOf('root:x:0:\nlast:x:999:\nsame:x:1000:\nbeyond:x:1001:\n', map)).toEqual([
      [100000, 'root'],
      [100999, 'last'],
      [1000, 'same'],
    ]);
  });

  it('has no names where ids mean nothing to the host', () => {
    expect(namesOf('root:x:0:\n', parseIdMap(''))).toEqual([]);
    expect(namesOf('root:x:0:\n', parseIdMap('0 4294967295 1\n'))).toEqual([]);
  });
});
