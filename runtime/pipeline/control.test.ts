import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { until } from '../../test/until.js';
import { Control } from './control.js';

describe('the memory both threads share', () => {
  it('shows one thread what the other counted', () => {
    const main = new Control();
    const worker = new Control(main.memory);
    worker.add('read', 5);
    worker.add('delivered', 3);
    expect(main.counts()).toMatchObject({ read: 5, delivered: 3, filtered: 0 });
  });

  it('counts what a dead worker had read and not finished with as lost', () => {
    const control = new Control();
    control.add('read', 10);
    control.add('delivered', 4);
    control.add('filtered', 1);
    control.settle('lostGuest');
    const { read, ...fates } = control.counts();
    expect(control.counts().lostGuest).toBe(5);
    expect(Object.values(fates).reduce((a, b) => a + b)).toBe(read);
  });

  it('tells when the worker is in the guest, and every visit apart', () => {
    const control = new Control();
    control.enterGuest(1);
    const first = control.guestSequence;
    control.leaveGuest();
    control.enterGuest(1);
    expect([first % 2, control.guestSequence % 2]).toEqual([1, 1]);
    expect(control.guestSequence).not.toBe(first);
  });

  it('condemns a worker that is in the guest, and no other', () => {
    const control = new Control();
    control.enterGuest(1);
    const visit = control.guestSequence;
    expect(control.condemn(visit - 2)).toBe(false);
    expect(control.condemn(visit)).toBe(true);
    control.abandonGuest();
    expect(control.condemn(visit)).toBe(false);
    expect(control.condemn(control.guestSequence)).toBe(false);
    // Returns, as nobody is condemned.
    control.enterGuest(1);
    control.leaveGuest();
    expect(control.isLostInGuest).toBe(false);
  });

  it('keeps a worker that is condemned from coming out of the guest', async () => {
    const control = new Control();
    const module = new URL('../../dist/runtime/pipeline/control.js', import.meta.url).href;
    const worker = new Worker(
      `const { parentPort, workerData } = require('node:worker_threads');
       import(${JSON.stringify(module)}).then(({ Control }) => {
         const control = new Control(workerData);
         control.enterGuest(1);
         while (!control.stopping) control.sleep(1);
         control.leaveGuest();
         control.add('delivered', 1);
       });`,
      { eval: true, workerData: control.memory },
    );
    await until(() => control.guestSequence === 1, 'the visit');
    expect(control.condemn(1)).toBe(true);
    control.stop();
    await until(() => control.guestSequence === 2, 'the end of the visit');
    await worker.terminate();
    expect(control.counts().delivered).toBe(0);
    expect(control.isLostInGuest).toBe(true);
  });

  it('takes a dead worker to be in no guest, whether or not it died in one', () => {
    const control = new Control();
    control.enterGuest(1);
    control.abandonGuest();
    expect(control.guestSequence % 2).toBe(0);
    control.abandonGuest();
    expect(control.guestSequence % 2).toBe(0);
  });
});
