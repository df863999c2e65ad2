import { expect, it } from 'vitest';
import type { TableChange } from '../containers/change.js';
import { TableGuard } from './table-guard.js';
import { container } from './testing.js';

function addition(index: number, mntns: number): TableChange {
  return { kind: 'add', index, mntns, sinceBootNs: 0, selected: true, container: container('web', mntns) };
}

/** Makes the changes until the guard has had enough; says why, or nothing after a million. */
function flood(change: (i: number) => TableChange): string | undefined {
  const guard = new TableGuard();
  try {
    for (let i = 0; i < 1_000_000; i++) guard.check(change(i));
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

it.each<[string, (i: number) => TableChange, string]>([
  [
    'mount namespaces of the host',
    (mntns) => ({ kind: 'unknown', mntns, sinceBootNs: 0 }),
    'mount namespaces',
  ],
  ['containers', (i) => addition(i, i), 'containers'],
  [
    'containers that leave again and again where many have been',
    (i) => (i < 1000 ? addition(i % 2, i >> 1) : { kind: 'leave', index: i % 2, untilBootNs: i }),
    'comings and goings',
  ],
])('refuses %s without end', (_, change, what) => {
  expect(flood(change)).toBe(`it tells of more ${what} than a machine can have`);
});

it('counts what was said of a container only as long as it is there', () => {
  const large = { ...container('x'.repeat(1 << 20), 1), mntns: 1 };
  const add = { kind: 'add', index: 0, mntns: 1, sinceBootNs: 0, selected: true, container: large } as const;
  const guard = new TableGuard();
  for (let i = 0; i < 200; i++) {
    guard.check(add);
    guard.check({ kind: 'remove', index: 0 });
  }
  expect(() =>
    Array.from({ length: 200 }, (_, index) => guard.check({ ...add, index, mntns: index })),
  ).toThrow('it tells of more containers than a machine can have');
});
