import { describe as suite, expect, it } from 'vitest';
import {
  MAX_MANIFEST_BYTES,
  MEDIA_TYPE,
  digestOf,
  ociArchitecture,
  parseIndex,
  parseManifest,
} from './descriptor.js';
import { InvalidImageError } from './errors.js';

const DIGEST = digestOf(Buffer.from('x'));
const BLOB = { mediaType: 'text/plain', digest: DIGEST, size: 1 };

function bytesOf(document: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(document));
}

suite('an index', () => {
  it('keeps members of a descriptor that this program does not know', () => {
    const entry = { ...BLOB, urls: ['https://example.com'], annotations: { a: 'b' } };
    expect(parseIndex(bytesOf({ schemaVersion: 2, manifests: [entry] }), 'it').manifests).toEqual([entry]);
  });

  it.each([
    ['no JSON', 'no'],
    ['a list', []],
    ['another schema version', { schemaVersion: 1, manifests: [] }],
    ['the media type of a manifest', { schemaVersion: 2, mediaType: MEDIA_TYPE.manifest, manifests: [] }],
    ['manifests that are no list', { schemaVersion: 2, manifests: {} }],
    ['a descriptor without a digest', { schemaVersion: 2, manifests: [{ mediaType: 'a', size: 1 }] }],
    ['a path as digest', { schemaVersion: 2, manifests: [{ ...BLOB, digest: 'sha256:../../etc/passwd' }] }],
    ['a negative size', { schemaVersion: 2, manifests: [{ ...BLOB, size: -1 }] }],
    ['a size that is no integer', { schemaVersion: 2, manifests: [{ ...BLOB, size: 1.5 }] }],
    ['annotations that are no strings', { schemaVersion: 2, manifests: [], annotations: { a: 1 } }],
    [
      'a platform without architecture',
      { schemaVersion: 2, manifests: [{ ...BLOB, platform: { os: 'linux' } }] },
    ],
    ['no media type', { schemaVersion: 2, manifests: [{ ...BLOB, mediaType: '' }] }],
    [
      'a media type of two lines',
      { schemaVersion: 2, manifests: [{ ...BLOB, mediaType: 'text/a\r\nb: c' }] },
    ],
    ['annotations of megabytes', { schemaVersion: 2, manifests: [], annotations: { a: 'x'.repeat(1e6) } }],
    ['too many entries', { schemaVersion: 2, manifests: Array<unknown>(10_001).fill(BLOB) }],
  ])('with %s is refused', (_what, document) => {
    const bytes = document === 'no' ? Buffer.from('{') : bytesOf(document);
    expect(() => parseIndex(bytes, 'the index')).toThrow(InvalidImageError);
  });

  it('larger than the limit is refused before it is parsed', () => {
    const bytes = Buffer.alloc(MAX_MANIFEST_BYTES + 1, ' ');
    expect(() => parseIndex(bytes, 'the index')).toThrow(
      `the index is larger than ${MAX_MANIFEST_BYTES} bytes`,
    );
  });

  it('nested without end is refused, also where anything may stand', () => {
    const deep = `${'['.repeat(1e6)}"\\"]${']'.repeat(1e6)}`;
    const bytes = Buffer.from(`{"schemaVersion":2,"manifests":[],"unknown":${deep}}`);
    expect(() => parseIndex(bytes, 'the index')).toThrow('the index is nested deeper than 100 levels');
  });

  it('may hold brackets in its texts', () => {
    const annotations = { a: '\\"[{'.repeat(1000) };
    expect(parseIndex(bytesOf({ schemaVersion: 2, manifests: [], annotations }), 'it').annotations).toEqual(
      annotations,
    );
  });

  it('quotes a media type it does not expect, so that it fits a sentence and a terminal', () => {
    const document = { schemaVersion: 2, mediaType: `\x1b[2J\u202e\n${'x'.repeat(1e6)}` };
    const message = /^the index has the unexpected media type "\\u001b\[2J\\u\{202e\}\\nx+…"$/;
    expect(() => parseIndex(bytesOf(document), 'the index')).toThrow(message);
  });

  it('that is not UTF-8 is refused', () => {
    const bytes = Buffer.concat([
      Buffer.from('{"schemaVersion":2,"x":"'),
      Buffer.from([0xff]),
      Buffer.from('"}'),
    ]);
    expect(() => parseIndex(bytes, 'the index')).toThrow(InvalidImageError);
  });
});

suite('a manifest', () => {
  it('may have null for its layers, as Go writes an empty list', () => {
    const manifest = parseManifest(
      bytesOf({ schemaVersion: 2, config: BLOB, layers: null, annotations: null }),
      'it',
    );
    expect(manifest).toEqual({ schemaVersion: 2, config: BLOB, layers: [] });
  });

  it.each([
    ['no config', { schemaVersion: 2, layers: [] }],
    ['too many layers', { schemaVersion: 2, config: BLOB, layers: Array<unknown>(129).fill(BLOB) }],
    ['a number as artifactType', { schemaVersion: 2, config: BLOB, layers: [], artifactType: 1 }],
  ])('with %s is refused', (_what, document) => {
    expect(() => parseManifest(bytesOf(document), 'the manifest')).toThrow(InvalidImageError);
  });
});

it('names architectures as Go does', () => {
  expect([ociArchitecture('x64'), ociArchitecture('arm64')]).toEqual(['amd64', 'arm64']);
});
