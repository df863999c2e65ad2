import { describe, expect, it } from 'vitest';
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

  it('takes a dead worker to be in no guest, whether or not it died in one', () => {
    const control = new Control();
    control.enterGuest(1);
    control.abandonGuest();
    expect(control.guestSequence % 2).toBe(0);
    control.abandonGuest();
    expect(control.guestSequence % 2).toBe(0);
  });
});
