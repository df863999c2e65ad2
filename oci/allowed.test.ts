import { describe, expect, it } from 'vitest';
import { checkAllowed } from './allowed.js';
import { NotAllowedError } from './errors.js';
import { parseReference } from './reference.js';

const DIGEST = `sha256:${'a'.repeat(64)}`;

describe('an image', () => {
  it.each([
    ['trace_exec', []],
    ['trace_exec', ['trace_exec']],
    ['trace_exec', ['trace_open', 'ghcr.io/inspektor-gadget/gadget/trace_exec:latest']],
    ['trace_exec', ['ghcr.io/inspektor-gadget/gadget/*']],
    ['trace_exec:v1', [`trace_exec@${DIGEST}`]],
  ])('%s may run when %j is allowed', (name, allowed) => {
    expect(() => checkAllowed(name, parseReference(name), DIGEST, allowed)).not.toThrow();
  });

  it.each([
    ['trace_exec', ['trace_open']],
    ['trace_exec:v1', ['trace_exec']],
    ['evil.example/inspektor-gadget/gadget/trace_exec', ['ghcr.io/inspektor-gadget/gadget/*']],
    ['trace_exec', [`trace_exec@sha256:${'b'.repeat(64)}`]],
    [`trace_exec@${DIGEST}`, ['trace_exec:latest']],
    // Nobody has asked the registry what the tag means.
    [`trace_exec:latest@${DIGEST}`, ['trace_exec:latest']],
  ])('%s may not run when only %j is allowed', (name, allowed) => {
    expect(() => checkAllowed(name, parseReference(name), DIGEST, allowed)).toThrow(NotAllowedError);
  });

  it('whose digest is not known yet may be any of its repository that a digest allows', () => {
    const allowed = [`trace_exec@${DIGEST}`];
    expect(() => checkAllowed('trace_exec', parseReference('trace_exec'), undefined, allowed)).not.toThrow();
    expect(() => checkAllowed('trace_open', parseReference('trace_open'), undefined, allowed)).toThrow();
  });

  it('in a file is never among those allowed', () => {
    expect(() => checkAllowed('./x.tar', undefined, DIGEST, ['*'])).toThrow('./x.tar, a file,');
  });
});
