// Which switches a run leaves on: what its flags, its containers and its Wasm module read.

import { describe, expect, it } from 'vitest';
import type { DataSourceSpec, RecordFieldSpec } from '../data/spec.js';
import { type WantedConfig, unwantedSwitches } from './wanted.js';

function field(fullName: string, more: Partial<RecordFieldSpec> = {}): RecordFieldSpec {
  return {
    ...{
      fullName,
      kind: 'uint32',
      length: 1,
      place: 'record',
      offset: 0,
      size: 4,
      tags: [],
      annotations: {},
    },
    ...more,
  };
}

const EXEC: DataSourceSpec = {
  ...{ name: 'exec', type: 'single', recordSize: 64, annotations: { 'wasm.reads': '' } },
  fields: [
    field('mntns', { kind: 'uint64', size: 8, tags: ['type:gadget_mntns_id'] }),
    field('pid', { tags: ['type:gadget_pid'] }),
    field('uid', { tags: ['type:gadget_uid'] }),
    field('error_raw', { tags: ['type:gadget_errno'] }),
    field('tty'),
    field('tty_major'),
    field('argv', { kind: 'strings', place: 'tail' }),
    field('path', { kind: 'string', place: 'tail' }),
    field('inode', { kind: 'uint64', size: 8 }),
    field('ctime', { kind: 'uint64', size: 8 }),
    field('place', { kind: 'none', place: 'nowhere' }),
    field('place.x'),
    field('place.y'),
  ],
  fieldAnnotations: {
    mntns: { 'value.wanted': 'mntns', 'columns.hidden': 'true' },
    uid: { 'value.wanted': 'user' },
    error_raw: { 'value.wanted': 'error', 'columns.hidden': 'true' },
    tty: { 'value.wanted': 'terminal', 'columns.hidden': 'true' },
    tty_major: { 'value.wanted': 'terminal', 'columns.hidden': 'true' },
    argv: { 'value.wanted': 'args', 'columns.hidden': 'true' },
    args: { 'wasm.reads': 'argv' },
    line: { 'wasm.reads': 'Path, argv', 'columns.hidden': 'true' },
    path: {
      ...{ 'value.wanted': 'path', 'columns.hidden': 'true', 'filehash.target': 'sum' },
      ...{ 'filehash.major': 'tty_major', 'filehash.minor': 'pid' },
      ...{ 'filehash.inode': 'inode', 'filehash.ctime': 'ctime' },
    },
    inode: { 'value.wanted': 'inode', 'columns.hidden': 'true', 'json.skip': 'true' },
    ctime: { 'columns.hidden': 'true' },
    place: { 'value.wanted': 'place' },
    'place.x': { 'columns.hidden': 'true' },
    'place.y': { 'columns.hidden': 'true' },
  },
};

const ALL = ['mntns', 'user', 'error', 'terminal', 'args', 'path', 'inode', 'place'];

interface Run extends Partial<Omit<WantedConfig, 'output'>> {
  readonly mode?: string;
  readonly fields?: string;
}

/** The switches that stay on. */
function wanted({ mode = 'columns', fields, ...more }: Run = {}): string[] {
  const off = unwantedSwitches({
    sources: [EXEC],
    output: { mode, fd: 1, ...(fields === undefined ? {} : { fields }) },
    ...{ filters: [], maxEntries: -1, bootToEpochNs: 0n, hasModule: true },
    ...more,
  });
  return ALL.filter((name) => !off.includes(name));
}

describe('the fields that the kernel side is to collect', () => {
  it('are those shown, with those that texts are made from', () => {
    expect(wanted()).toEqual(['user', 'error', 'args']);
    expect(wanted({ fields: 'pid' })).toEqual([]);
    expect(wanted({ fields: 'user' })).toEqual(['user']);
    expect(wanted({ fields: 'ERROR' })).toEqual(['error']);
    expect(wanted({ fields: 'pid,tty_major' })).toEqual(['terminal']);
    expect(wanted({ fields: '+tty,-args' })).toEqual(['user', 'error', 'terminal']);
    expect(wanted({ fields: 'sum' })).toEqual(['path']);
    expect(wanted({ fields: 'place.y' })).toEqual(['place']);
  });

  it('are all that JSON has', () => {
    expect(wanted({ mode: 'json' })).toEqual(ALL.filter((name) => name !== 'inode'));
    expect(wanted({ mode: 'none' })).toEqual([]);
  });

  it('are those that filters, sorting and containers ask for', () => {
    expect(wanted({ fields: 'pid', filters: ['path~x,place.x==2'] })).toEqual(['path', 'place']);
    expect(wanted({ fields: 'pid', filters: ['args~x'] })).toEqual(['args']);
    const list: DataSourceSpec = { ...EXEC, type: 'array' };
    expect(wanted({ sources: [list], fields: 'pid', sort: '-tty' })).toEqual(['terminal']);
    const containers = { changes: [], hostMntns: 1, filtering: false };
    expect(wanted({ fields: 'pid', containers })).toEqual(['mntns']);
  });

  it('are those by which files are found that are hashed', () => {
    expect(wanted({ fields: 'pid', hashing: true })).toEqual(['mntns', 'terminal', 'path', 'inode']);
  });

  it('are those that the Wasm module reads for what is asked of it', () => {
    expect(wanted({ fields: 'line' })).toEqual(['args', 'path']);
    const reading = { ...EXEC, annotations: { 'wasm.reads': 'tty' } };
    expect(wanted({ sources: [reading], fields: 'pid' })).toEqual(['terminal']);
    const untold = { ...EXEC, annotations: {} };
    expect(wanted({ sources: [untold], fields: 'pid' })).toEqual(ALL);
    expect(wanted({ sources: [untold], fields: 'pid', hasModule: false })).toEqual([]);
  });

  it('are all if the flags are wrong, so that it is the pipeline that says so', () => {
    expect(wanted({ fields: 'nothing' })).toEqual(ALL);
  });

  it('are asked for by any of several data sources', () => {
    const other: DataSourceSpec = { ...EXEC, name: 'other' };
    expect(wanted({ sources: [EXEC, other], fields: 'exec:pid;other:path' })).toEqual(['path']);
  });
});
