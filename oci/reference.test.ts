import { describe, expect, it } from 'vitest';
import { InvalidReferenceError } from './errors.js';
import { fullReference, parseReference } from './reference.js';

const DIGEST = `sha256:${'a1'.repeat(32)}`;

describe('a reference', () => {
  it.each([
    ['trace_exec', 'ghcr.io/inspektor-gadget/gadget/trace_exec:latest'],
    ['trace_exec:v0.40.0', 'ghcr.io/inspektor-gadget/gadget/trace_exec:v0.40.0'],
    [`trace_exec@${DIGEST}`, `ghcr.io/inspektor-gadget/gadget/trace_exec@${DIGEST}`],
    ['owner/trace_exec', 'ghcr.io/owner/trace_exec:latest'],
    ['ghcr.io/owner/trace_exec', 'ghcr.io/owner/trace_exec:latest'],
    ['localhost/trace_exec', 'localhost/trace_exec:latest'],
    ['localhost:5000/trace_exec:1', 'localhost:5000/trace_exec:1'],
    ['Registry/trace_exec', 'Registry/trace_exec:latest'],
    ['127.0.0.1:5000/a/b/c', '127.0.0.1:5000/a/b/c:latest'],
    ['[::1]:5000/a', '[::1]:5000/a:latest'],
    [`r.example/a:v1@${DIGEST}`, `r.example/a:v1@${DIGEST}`],
    ['f/a__b.c-d---e', 'ghcr.io/f/a__b.c-d---e:latest'],
  ])('%s means %s', (text, full) => {
    const reference = parseReference(text);
    expect(String(reference)).toBe(full);
    expect(String(parseReference(full))).toBe(full);
  });

  it('has its parts', () => {
    const { registry, repository, tag, digest, name } = parseReference(`host:1/a/b:t@${DIGEST}`);
    expect({ registry, repository, tag, digest, name }).toEqual({
      registry: 'host:1',
      repository: 'a/b',
      tag: 't',
      digest: DIGEST,
      name: 'b',
    });
  });

  it.each([
    ['trace_exec', true],
    ['trace_exec:latest', true],
    [`trace_exec@${DIGEST}`, true],
    ['owner/trace_exec', false],
    ['ghcr.io/inspektor-gadget/gadget/trace_exec', false],
    ['localhost/trace_exec', false],
  ])('%s is a short name: %s', (text, short) => {
    expect(parseReference(text).short).toBe(short);
  });

  it.each([
    '',
    ':latest',
    'UPPER',
    'a:',
    'a: b',
    'a/',
    '/a',
    'a//b',
    'ghcr.io/',
    '-a',
    'a-',
    'a___b',
    'a..b',
    '../a',
    'a b',
    'a@sha256:123',
    `a@sha512:${'a1'.repeat(64)}`,
    `a@${DIGEST.toUpperCase()}`,
    `a@${DIGEST}@${DIGEST}`,
    'host:port/a',
    'ho_st.example/a',
    'user@host.example/a',
    `a:${'t'.repeat(129)}`,
    'a/'.repeat(127) + 'abc',
  ])('refuses %j', (text) => {
    expect(() => parseReference(text)).toThrow(InvalidReferenceError);
  });

  it('refuses a text of any length, without repeating it', () => {
    expect(() => parseReference('x'.repeat(100_000))).toThrow(
      /^"x{199}…" is not an image reference: it is longer/,
    );
  });

  it('says in one line what is wrong', () => {
    expect(() => parseReference('ghcr.io/Owner/x')).toThrow(
      '"ghcr.io/Owner/x" is not an image reference: "Owner" is not a name of lower-case letters, digits and . _ -',
    );
  });

  it('in full is told from other names', () => {
    expect(String(fullReference('ghcr.io/a/b:1'))).toBe('ghcr.io/a/b:1');
    for (const text of ['', 'v1', 'a/b:1', 'ghcr.io/a/b', '$(id)'])
      expect(fullReference(text)).toBeUndefined();
  });
});
