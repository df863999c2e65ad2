// A file system that never answers, as a broken or hostile server of FUSE or NFS would make one.

import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';

export function canMountSilent(): boolean {
  return process.getuid?.() === 0 && existsSync('/dev/fuse');
}

/** Mounts one at `directory`, which it makes; returns how to unmount it and have the kernel give up on it. */
export function mountSilent(directory: string): () => void {
  mkdirSync(directory);
  // The kernel waits for whoever holds this to speak first.
  const fuse = openSync('/dev/fuse', 'r+');
  const options = 'fd=3,rootmode=40000,user_id=0,group_id=0';
  const words = ['-i', '-t', 'fuse', '-o', options, 'silent', directory];
  const mounted = spawnSync('mount', words, { stdio: ['ignore', 'ignore', 'pipe', fuse] });
  if (mounted.status !== 0) throw new Error(mounted.stderr.toString());
  return () => {
    execFileSync('umount', ['-l', directory]);
    closeSync(fuse);
  };
}
