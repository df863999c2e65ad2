import { describe, expect, it } from 'vitest';
import { InspectError } from './errors.js';
import { valueAt } from './json-path.js';

const DOCUMENT = {
  oci: { layers: [{ digest: 'sha256:a' }, { digest: 'sha256:b' }], annotations: { 'org.x/title': 'T' } },
};

describe('a path', () => {
  it.each([
    '.oci.layers[1].digest',
    'oci.layers[1].digest',
    '$.oci.layers[1].digest',
    '{.oci.layers[1].digest}',
    '{$["oci"].layers[1]["digest"]}',
  ])('%s chooses one value', (path) => {
    expect(valueAt(DOCUMENT, path)).toBe('sha256:b');
  });

  it('takes names with dots in quotes', () => {
    expect(valueAt(DOCUMENT, `.oci.annotations['org.x/title']`)).toBe('T');
  });

  it.each(['', '.', '$', '{}', '{.}'])('"%s" chooses all', (path) => {
    expect(valueAt(DOCUMENT, path)).toBe(DOCUMENT);
  });

  it.each([
    ['.oci.nothing', 'there is no .nothing in .oci: it has layers, annotations'],
    ['.oci.layers[2]', 'there is no [2] in .oci.layers: it is a list of 2'],
    ['.oci.layers.digest', 'there is no .digest in .oci.layers: it is a list of 2'],
    ['.oci.layers[0].digest.x', 'there is no .x in .oci.layers[0].digest: it is a single value'],
    ['.constructor', 'there is no .constructor in the image: it has oci'],
    ['.oci.layers[*]', 'the path .oci.layers[*] is not understood from "[*]" on'],
    ['.oci..layers', 'the path .oci..layers is not understood from "..layers" on'],
  ])('%s is refused by its wrong step', (path, sentence) => {
    const select = (): unknown => valueAt(DOCUMENT, path);
    expect(select).toThrow(InspectError);
    expect(select).toThrow(sentence);
  });
});
