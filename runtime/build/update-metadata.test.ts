import { describe, expect, it } from 'vitest';
import type { RecordFieldSpec } from '../data/spec.js';
import { ebpfParam } from '../gadget/params.js';
import type { ObjectFacts } from './object.js';
import { updateMetadata } from './update-metadata.js';

function field(fullName: string, changes: Partial<RecordFieldSpec> = {}): RecordFieldSpec {
  return {
    ...{ fullName, kind: 'uint32', length: 1, place: 'record', offset: 0, size: 4, tags: [], annotations: {} },
    ...changes,
  };
}

const OBJECT: ObjectFacts = {
  tracers: [
    {
      ...{ dataSource: 'made', type: 'single', map: 'events', recordSize: 64 },
      fields: [
        field('comm', { kind: 'cstring', size: 16, tags: ['type:gadget_comm'], annotations: { template: 'comm' } }),
        field('count'),
      ],
    },
  ],
  params: [ebpfParam('quiet', 'bool', 1, Uint8Array.of(1))],
  programs: [],
  maps: [],
  switches: [],
};

const update = (text: string | undefined): string => updateMetadata(text, 'demo', OBJECT).text;

describe('a draft of gadget.yaml', () => {
  it('has every data source, field and parameter', () => {
    expect(update(undefined)).toBe(`# Drafted from the eBPF object. Say what things are; a field needs no entry here to be shown.
name: demo
description: ''

datasources:
  made:
    fields:
      comm:
        annotations:
          description: Name of the process
      count:
        annotations:
          description: ''
          columns.width: type
          columns.alignment: right

params:
  ebpf:
    quiet:
      key: quiet
      typeHint: bool
      defaultValue: true
      description: ''
`);
  });
});

describe('what is added to a gadget.yaml', () => {
  const COUNT = `count:
        annotations:
          description: ''
          columns.width: type
          columns.alignment: right
`;

  it('stands behind what is there, which stays as it is', () => {
    const before = `name:   demo # as ever
description: "x"
params: {ebpf: {QUIET: {key: q}}}
DataSources:
  Made:
    fields:
      comm: {}   # nothing to say

# the end
`;
    expect(update(before)).toBe(before.replace('say\n', `say\n      ${COUNT}`));
  });

  it('goes into braces, and below keys without a value', () => {
    const text = update('name: demo\ndescription: x\ndatasources:\n  made: # soon\nparams: {}');
    expect(text).toContain('params: { "ebpf":{"quiet":{"key":"quiet",');
    expect(text).toContain('  made: # soon\n    fields:\n      comm:\n');
    expect(updateMetadata(text, 'demo', OBJECT)).toEqual({ text, added: [] });
  });

  it('is told', () => {
    expect(updateMetadata('name: x\nebpfParams: { quiet: {} }\n', 'demo', OBJECT).added).toEqual([
      'description',
      'datasources.made.fields.comm',
      'datasources.made.fields.count',
    ]);
  });

  it('is nothing to a file that is no mapping', () => {
    for (const text of ['- x\n', 'a: [\n']) expect(() => update(text)).toThrow('is not a YAML mapping');
  });
});
