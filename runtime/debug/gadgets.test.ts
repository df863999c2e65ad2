import { expect, it } from 'vitest';
import { hooksVerdict } from './gadgets.js';
import { no, rowsOf, unknown, yes } from './row.js';

const PROGRAMS = rowsOf('program', {
  fentry: no('refused'),
  uprobe: yes(),
  lsm: unknown('needs CAP_BPF'),
  'cgroup/connect4': yes(),
});

it('says yes of a gadget whose kinds of hooks are all there', () => {
  expect(hooksVerdict(['uprobe//bin/sh:main', 'cgroup/connect4'], PROGRAMS)).toMatchObject({ state: 'yes' });
});

it('names the hooks that a gadget misses, with one reason for those that share it', () => {
  const sections = ['uprobe//bin/sh:main', 'fentry/vfs_open', 'lsm/file_open', 'fentry.s/vfs_read'];
  expect(hooksVerdict(sections, PROGRAMS)).toEqual(no('fentry/vfs_open, fentry.s/vfs_read: refused'));
});

it('does not know of hooks that were not tried', () => {
  expect(hooksVerdict(['uprobe//bin/sh:main', 'lsm/file_open'], PROGRAMS)).toEqual(
    unknown('lsm/file_open: needs CAP_BPF'),
  );
  expect(hooksVerdict(['struct_ops/x'], PROGRAMS)).toMatchObject({ state: 'unknown' });
});
