import { describe, expect, it } from 'vitest';
import { parseMetadata } from './metadata.js';

const parse = (text: string): ReturnType<typeof parseMetadata> =>
  parseMetadata(new TextEncoder().encode(text), true);

describe('gadget.yaml', () => {
  it('reads keys regardless of case, and field names too', async () => {
    const metadata = await parse(`
Name: demo
dataSources:
  exec:
    FIELDS:
      proc.Comm: { annotations: { columns.width: 12, columns.hidden: true } }
params:
  ebpf:
    paths: { key: paths, DefaultValue: false }
`);
    expect(metadata.name).toBe('demo');
    expect(metadata.datasources['exec']!.fields['proc.comm']!.annotations).toEqual({
      'columns.width': '12',
      'columns.hidden': 'true',
    });
    expect(metadata.ebpfParams['paths']).toEqual({ key: 'paths', defaultValue: 'false' });
  });

  it('reads when a program is loaded and whether it may be missing', async () => {
    const { programs } = await parse(
      'name: demo\nprograms:\n  p: { enabledBy: { ignore-failed: "false" }, optional: true }\n  q: { attach_to: vfs_read }',
    );
    expect(programs['p']).toEqual({ enabledBy: { 'ignore-failed': 'false' }, optional: true });
    expect(programs['q']).toEqual({ attachTo: 'vfs_read', enabledBy: {}, optional: false });
  });

  it.each([
    ['name: [', /^invalid gadget.yaml, line 1: /],
    ['description: no name', /^invalid gadget.yaml: at the top level: the key "name" is missing$/],
    ['name: demo\nparms: {}', /^invalid gadget.yaml: at the top level: unknown key "parms"$/],
    ['name: 7', /^invalid gadget.yaml: at name: expected string, found 7$/],
    [
      'name: demo\ndatasources: { exec: { fields: { a: { annotations: [] } } } }',
      /at datasources.exec.fields.a.annotations: expected object, found \[\]$/,
    ],
    [
      'name: demo\nparams: { ebpf: { x: { typeHint: text } } }',
      /at params.ebpf.x.typeHint: expected one of bool, .*, found "text"$/,
    ],
    ['- a list', /^invalid gadget.yaml: at the top level: expected object, found \["a list"\]$/],
  ])('refuses %j with the place and what was expected', async (text, message) => {
    await expect(parse(text)).rejects.toThrow(message);
  });

  it('refuses aliases that grow without bound', async () => {
    const bomb = ['name: demo', 'a: &a [x, x, x, x, x, x, x, x, x, x]'];
    for (const [key, before] of ['ba', 'cb', 'dc', 'ed', 'fe'].map((pair) => [pair[0], pair[1]])) {
      bomb.push(`${key}: &${key} [${Array(10).fill(`*${before}`).join(', ')}]`);
    }
    await expect(parse(bomb.join('\n'))).rejects.toThrow(/^invalid gadget.yaml/);
  });
});
