import { describe, expect, it } from 'vitest';
import { loadError, VerifierError, type SystemError } from './errors.js';

/** What libbpf leaves of a program that the kernel did not take. */
function failure(code: string, errno: number): SystemError {
  const log = [
    "libbpf: prog 'probe': BPF program load failed: reason",
    "libbpf: prog 'probe': -- BEGIN PROG LOAD LOG --",
    '0: (b7) r0 = 0',
    'processed 1 insns (limit 1000000)',
    '-- END PROG LOAD LOG --',
    `libbpf: prog 'probe': failed to load: -${errno}`,
    '',
  ].join('\n');
  return Object.assign(new Error('reason'), { code, errno, log });
}

describe('a failed load', () => {
  const read = (code: string, errno: number): Error =>
    loadError(failure(code, errno), 'gadget', () => 'kprobe/x');

  it('is the verifier’s doing when it says why', () => {
    expect(read('EINVAL', 22)).toBeInstanceOf(VerifierError);
  });

  it('is not when it was interrupted, whatever it said until then', () => {
    const error = read('EAGAIN', 11);
    expect(error).not.toBeInstanceOf(VerifierError);
    expect(error.message).toBe('Loading program probe (kprobe/x) was interrupted several times; try again.');
  });
});
