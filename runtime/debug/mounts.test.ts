import { expect, it } from 'vitest';
import { parseMounts } from './mounts.js';

it('reads where which file system is mounted, of those over each other the last', () => {
  const text = [
    '24 1 0:21 / /sys rw,nosuid shared:7 - sysfs sysfs rw',
    '31 24 0:28 / /sys/fs/bpf rw - sysfs none rw',
    '32 24 0:29 / /sys/fs/bpf rw shared:1 master:2 - bpf bpf rw,mode=700',
    '40 1 0:30 / /mnt/a\\040b rw - tracefs trace - rw',
    'nonsense',
  ].join('\n');
  expect(parseMounts(text)).toEqual([
    { path: '/sys', type: 'sysfs' },
    { path: '/sys/fs/bpf', type: 'bpf' },
    { path: '/mnt/a b', type: 'tracefs' },
  ]);
});
