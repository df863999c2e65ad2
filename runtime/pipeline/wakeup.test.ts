import { describe, expect, it } from 'vitest';
import { napAfter } from './wakeup.js';

describe('how a worker waits', () => {
  it('waits for the next record at once when little happens, so that a lone event is shown immediately', () => {
    expect(napAfter(0, 0).until).toBe('ring');
    expect(napAfter(1, 0.001).until).toBe('ring');
  });

  it('sleeps by the clock while events flow, so that none of them has to wake it', () => {
    expect(napAfter(100, 0.01).until).toBe('clock');
  });

  it('sleeps less the fuller the ring, and not at all before it overflows', () => {
    expect(napAfter(100, 0.1).timeoutMs).toBeLessThan(napAfter(100, 0.01).timeoutMs);
    expect(napAfter(2048, 0.5).until).toBe('none');
  });
});
