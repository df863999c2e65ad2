// More new mount namespaces than can be taken notice of, while nobody looks: they are let through and counted.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { BpfMap } from '../../bpf/index.js';
import { hostMntns, mntnsOf } from '../../runtime/containers/proc.js';
import { Tracker } from '../../runtime/containers/tracker.js';
import { Ig } from '../ig.js';
import { createTemporaryDirectory } from '../registry/images.js';
import { Runc, canRunRunc } from './runc.js';

/** The tracker's ring holds about 2,400 of them. */
const COUNT = 3000;

describe.skipIf(!canRunRunc())(
  'new mount namespaces that nobody notices in time',
  { timeout: 120_000 },
  () => {
    let directory: string;
    let program: string;

    beforeAll(() => {
      directory = createTemporaryDirectory();
      program = join(directory, 'flood');
      const source = fileURLToPath(new URL('flood.c', import.meta.url));
      execFileSync('gcc', ['-O2', '-Wall', '-Werror', '-o', program, source]);
    });

    afterAll(() => rmSync(directory, { recursive: true }));

    /** Makes them one after the other, and returns when all have ended. */
    function flood(): void {
      execFileSync(program, [String(COUNT)], { stdio: 'ignore' });
    }

    it('are let through the filter all the same', async () => {
      const filterMap = BpfMap.create({
        type: 'hash',
        name: 'mntns_filter',
        keySize: 8,
        valueSize: 4,
        maxEntries: 1024,
      });
      onTestFinished(() => filterMap.close());
      const tracker = await Tracker.start(
        { hostMntns: hostMntns(), filterMap, atSyscalls: false },
        () => undefined,
      );
      onTestFinished(() => tracker.close());
      expect(tracker.missed).toBe(0);
      // While this waits for it, nothing reads the ring.
      flood();
      expect(tracker.missed).toBeGreaterThan(0);
      for (const key of filterMap.keys()) filterMap.delete(key);
      expect(filterMap.lookup(keyOf(isolatedMntns()))).toBeDefined();
    });

    it('do not keep everything else waiting when they come faster than they can be looked at', async () => {
      let inTurn = 0;
      let mostInTurn = 0;
      const turns = setInterval(() => (inTurn = 0), 1);
      onTestFinished(() => clearInterval(turns));
      const tracker = await Tracker.start({ hostMntns: hostMntns(), atSyscalls: false }, () => {
        mostInTurn = Math.max(mostInTurn, ++inTurn);
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      });
      onTestFinished(() => tracker.close());
      const child = spawn(program, [String(COUNT)], { stdio: 'ignore' });
      await once(child, 'exit');
      expect(mostInTurn).toBeGreaterThan(0);
      expect(mostInTurn).toBeLessThan(COUNT / 10);
    });

    it('are warned of, and noticed at their next exec', async () => {
      const runc = new Runc();
      onTestFinished(() => runc.close());
      const id = runc.newId();
      const ig = await Ig.tracing(['run', 'trace_exec', '-o', 'json', '-r', 'docker', '-c', id]);
      process.kill(ig.pid, 'SIGSTOP');
      flood();
      runc.start(`while :; do /bin/true ${id}; sleep 0.2; done`, { id });
      process.kill(ig.pid, 'SIGCONT');
      await ig.until(() => ig.events().some(({ args }) => args === `/bin/true ${id}`));
      const { stderr } = await ig.stop();
      expect(stderr).toMatch(/^Warning: \d+ new mount namespaces were not noticed in time; /m);
    });
  },
);

/** The mount namespace of a process that has executed something in it. Blocks until it has. */
function isolatedMntns(): number {
  const child = spawn('unshare', ['-m', 'sleep', '1000'], { stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  const script = `until grep -q sleep /proc/${child.pid}/comm; do sleep 0.05; done`;
  execFileSync('sh', ['-c', script], { timeout: 20_000 });
  return mntnsOf(child.pid!)!;
}

function keyOf(mntns: number): Uint8Array {
  const key = new Uint8Array(8);
  new DataView(key.buffer).setBigUint64(0, BigInt(mntns), true);
  return key;
}
