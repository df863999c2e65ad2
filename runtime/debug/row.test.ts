import { expect, it } from 'vitest';
import { BpfError, PermissionError } from '../../bpf/errors.js';
import { no, refusal, rowsOf, unknown, yes } from './row.js';

function systemError(code: string, message: string): Error {
  return Object.assign(new Error(message), { errno: 1, code });
}

it('tells the reason of a refusal in words', () => {
  const cause = systemError('EOPNOTSUPP', 'attaching on_x: Operation not supported');
  expect(refusal(new BpfError('Cannot attach.', { cause }))).toEqual(no('operation not supported'));
});

it('does not know what the kernel can do where only capabilities are missing', () => {
  const cause = systemError('EPERM', 'attaching on_x: Operation not permitted');
  const error = new PermissionError('Refused.', { cause, capabilities: ['CAP_PERFMON'] });
  expect(refusal(error)).toEqual(unknown('needs CAP_PERFMON'));
});

it('says no where the kernel refuses whoever has the capabilities', () => {
  expect(refusal(systemError('EPERM', 'x: Operation not permitted'))).toMatchObject({ state: 'no' });
});

it('keeps each detail to one line', () => {
  expect(rowsOf('map', { hash: yes('a\nb ') })).toEqual([
    { group: 'map', what: 'hash', state: 'yes', detail: 'a b' },
  ]);
});
