import { describe, expect, it } from 'vitest';
import { parseMetadata, readMetadata } from './metadata.js';

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

  it('reads what a run needs, and whether it may be missing', async () => {
    const { programs, datasources, maps } = await parse(
      `name: demo
programs:
  p: { enabledBy: { ignore-failed: "false" }, optional: true }
  q: { attach_to: vfs_read }
datasources: { End: { EnabledBy: { Ends: true } } }
maps: { lives: { enabledBy: { Ends: true } } }`,
    );
    expect(datasources['end']!.enabledBy).toEqual({ Ends: 'true' });
    expect(maps).toEqual({ lives: { enabledBy: { Ends: 'true' } } });
    expect(programs['p']).toEqual({ enabledBy: { 'ignore-failed': 'false' }, optional: true });
    expect(programs['q']).toEqual({ attachTo: 'vfs_read', enabledBy: {}, optional: false });
  });

  it.each([
    ['name: [', /^invalid gadget.yaml, line 1: /],
    ['description: no name', /^invalid gadget.yaml, line 1: the top level: the key "name" is missing$/],
    [
      'name: demo\nparms: {}',
      /^invalid gadget.yaml, line 2: the top level: unknown key "parms", expected one of name, .*; did you mean params\?$/,
    ],
    ['name: 7', /^invalid gadget.yaml, line 1: name: expected string, found 7$/],
    ['name: ""', /^invalid gadget.yaml, line 1: name: expected the gadget's name, found ""$/],
    [
      'name: demo\ndatasources: { exec: { fields: { a: { annotations: [] } } } }',
      /line 2: datasources.exec.fields.a.annotations: expected object, found a list$/,
    ],
    [
      'name: demo\nparams: { ebpf: { x: { typeHint: text } } }',
      /line 2: params.ebpf.x.typeHint: expected one of bool, .*, found "text"$/,
    ],
    ['- a list', /^invalid gadget.yaml, line 1: the top level: expected object, found a list$/],
    ['', /^invalid gadget.yaml, line 1: the top level: expected object, found null$/],
  ])('refuses %j with the line and what was expected', async (text, message) => {
    await expect(parse(text)).rejects.toThrow(message);
  });

  it('tells all that is wrong, each with its line', async () => {
    const text = `
Name: demo
colour: red
DataSources:
  exec:
    fields:
      a.b/c~d:
        annotations:
          value.undefined: -1
        tag: [x]
params:
  ebpf:
    x: { key: "no spaces" }
    y:
      alias: yy
`;
    const { mistakes } = await readMetadata(new TextEncoder().encode(text));
    expect(mistakes.map(({ line, text }) => `${line} ${text}`)).toEqual([
      expect.stringMatching(/^3 the top level: unknown key "colour", expected one of name, /),
      expect.stringMatching(
        /^9 datasources.exec.fields.a.b\/c~d.annotations.value.undefined: must be >= 0, found -1/,
      ),
      expect.stringMatching(
        /^10 datasources.exec.fields.a.b\/c~d: unknown key "tag", .*; did you mean tags\?$/,
      ),
      '13 params.ebpf.x.key: expected letters, digits, - and _, found "no spaces"',
      '15 params.ebpf.y.alias: expected one letter, found "yy"',
    ]);
  });

  it.each([
    ['nests without end', `{"name":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
    ['is full of mistakes', `[${','.repeat(60_000)}`],
    ['has keys within keys', '? '.repeat(500)],
    ['has lists within lists', '- '.repeat(20_000)],
    ['has more than any gadget tells', `name: demo${'\n'.repeat(200_000)}`],
    [
      'has an endless key of two lines',
      JSON.stringify({ name: 'demo', datasources: { [`\n${'x'.repeat(1e5)}`]: 1 } }),
    ],
    ['names an endless anchor', `name: *${'x'.repeat(100_000)}`],
  ])('refuses in one sentence what %s', async (_what, text) => {
    await expect(parse(text)).rejects.toThrow(/^invalid gadget.yaml, line 1: [\x20-\x7e]{1,300}$/);
  });

  it('refuses aliases that grow without bound', async () => {
    const bomb = ['name: demo', 'a: &a [x, x, x, x, x, x, x, x, x, x]'];
    for (const [key, before] of ['ba', 'cb', 'dc', 'ed', 'fe'].map((pair) => [pair[0], pair[1]])) {
      bomb.push(`${key}: &${key} [${Array(10).fill(`*${before}`).join(', ')}]`);
    }
    await expect(parse(bomb.join('\n'))).rejects.toThrow(/^invalid gadget.yaml/);
  });
});
