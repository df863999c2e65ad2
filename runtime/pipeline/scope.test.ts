import { describe, expect, it } from 'vitest';
import type { DataSource } from '../data/data-source.js';
import { testSource } from '../output/testing.js';
import type { WorkerConfig } from './messages.js';
import { type Asked, askedOf } from './scope.js';

const EXEC = testSource(
  [
    { name: 'proc', kind: 'none' },
    { name: 'proc.comm', kind: 'cstring' },
    { name: 'proc.pid', kind: 'uint32' },
    { name: 'container', kind: 'string' },
  ],
  'single',
  'exec',
);
const COUNTS = testSource(
  [
    { name: 'container', kind: 'string' },
    { name: 'count', kind: 'uint64' },
  ],
  'single',
  'exec_counts',
);
const TOP = testSource(
  [
    { name: 'proc.comm', kind: 'cstring' },
    { name: 'load', kind: 'uint32' },
  ],
  'array',
  'top',
);

interface Flags {
  readonly o?: string;
  readonly fields?: string;
  readonly F?: readonly string[];
  readonly sort?: string;
  readonly maxEntries?: number;
}

/** What each of the data sources is asked, in their order. */
function asked(
  { o = 'columns', fields, F = [], sort, maxEntries = -1 }: Flags,
  ...sources: DataSource[]
): Asked[] {
  const request: Pick<WorkerConfig, 'output' | 'filters' | 'sort' | 'maxEntries'> = {
    output: { mode: o, fd: 1, ...(fields === undefined ? {} : { fields }) },
    filters: F,
    maxEntries,
    ...(sort === undefined ? {} : { sort }),
  };
  return [...askedOf(request, sources).values()];
}

describe('--fields', () => {
  const fields = (list: string, ...sources: DataSource[]): (string | undefined)[] =>
    asked({ fields: list }, ...sources).map((each) => each.fields);

  it('is for every data source, each of which shows what it knows, or what it shows by itself', () => {
    expect(fields('comm,container', EXEC, COUNTS)).toEqual(['comm,container', 'container']);
    expect(fields('pid', EXEC, COUNTS)).toEqual(['pid', undefined]);
    expect(fields('+count, - pid', EXEC, COUNTS)).toEqual(['- pid', '+count']);
  });

  it('is for one behind its name', () => {
    expect(fields('exec:comm,pid;exec_counts:+count', EXEC, COUNTS)).toEqual(['comm,pid', '+count']);
    expect(fields('exec : comm', EXEC, COUNTS)).toEqual(['comm', undefined]);
    expect(fields('exec:comm', EXEC)).toEqual(['comm']);
  });

  it('is for the others without a name, wherever it stands', () => {
    expect(fields('container;exec:comm;', EXEC, COUNTS)).toEqual(['comm', 'container']);
    expect(fields('exec:comm;container', EXEC, COUNTS)).toEqual(['comm', 'container']);
  });

  it('takes a comma before the name of a data source, as other flags have it', () => {
    expect(fields('exec:comm,pid,exec_counts:count', EXEC, COUNTS)).toEqual(['comm,pid', 'count']);
    expect(fields('container,exec:comm', EXEC, COUNTS)).toEqual(['comm', 'container']);
  });

  it('is left to the data source where there is only one', () => {
    expect(fields('no such,+thing', EXEC)).toEqual(['no such,+thing']);
    expect(fields('', EXEC)).toEqual(['']);
  });

  it('is only for what is printed, in whichever form', () => {
    const flags = { o: 'exec:json,exec_counts:none', fields: 'container' };
    expect(asked(flags, EXEC, COUNTS).map(({ fields }) => fields)).toEqual(['container', undefined]);
    expect(asked({ o: 'none', fields: 'nope' }, EXEC, COUNTS)).toHaveLength(2);
  });

  it.each([
    ['nope', 'none of the data sources exec, exec_counts has a field nope; the help of the gadget lists'],
    ['comm,cout', 'none of the data sources exec, exec_counts has a field cout; did you mean count?'],
    ['proc', 'proc of exec is a group of fields; choose from proc.comm, proc.pid'],
    ['+pid,count', '--fields +pid,count mixes'],
    [' ', '--fields names no field'],
    [
      'exce:comm',
      '--fields names a data source exce, which is not there; did you mean exec?; there are exec, exec_counts',
    ],
    ['exec:comm;exec:pid', '--fields says both comm and pid of exec; leave one out, or'],
    ['comm;pid', '--fields says both comm and pid of all data sources; leave one out, or say NAME:pid'],
  ])('refuses %j', (list, message) => {
    expect(() => fields(list, EXEC, COUNTS)).toThrow(message);
  });
});

describe('-F', () => {
  const rules = (F: readonly string[], ...sources: DataSource[]): string[][] =>
    asked({ F }, ...sources).map((each) =>
      each.rules.map(({ field, operator, value }) => `${field}${operator}${value}`),
    );

  it('is for those that have the field, condition by condition', () => {
    const F = ['comm==a\\,b,count>3', 'container!='];
    expect(rules(F, EXEC, COUNTS)).toEqual([
      ['comm==a,b', 'container!='],
      ['count>3', 'container!='],
    ]);
    expect(rules([], EXEC, COUNTS)).toEqual([[], []]);
  });

  it('is for one behind its name', () => {
    expect(rules(['exec:container==a:b,container!=c'], EXEC, COUNTS)).toEqual([
      ['container==a:b', 'container!=c'],
      ['container!=c'],
    ]);
  });

  it.each([
    ['nope==1', 'cannot filter exec or exec_counts by nope, which is none of their fields'],
    ['cont==1', 'by cont, which is none of their fields; did you mean count?'],
    [
      'exce:comm==x',
      '-F names a data source exce, which is not there; did you mean exec?; there are exec, exec_counts',
    ],
    ['exec:==x', 'cannot read filter "exec:==x"'],
    [':comm==x', 'cannot read filter ":comm==x"'],
  ])('refuses %j', (expression, message) => {
    expect(() => rules([expression], EXEC, COUNTS)).toThrow(message);
  });
});

describe('-o', () => {
  const modes = (o: string, ...sources: DataSource[]): string[] =>
    asked({ o }, ...sources).map(({ mode }) => mode);

  it('is one mode for all, or one for each, and columns for those that are not named', () => {
    expect(modes('json', EXEC, COUNTS)).toEqual(['json', 'json']);
    expect(modes('exec:none,exec_counts:json', EXEC, COUNTS)).toEqual(['none', 'json']);
    expect(modes('exec:none', EXEC, COUNTS)).toEqual(['none', 'columns']);
    expect(modes('json,exec_counts:none', EXEC, COUNTS)).toEqual(['json', 'none']);
  });

  it('leaves modes that are none to the outputs', () => {
    expect(modes('json,yaml', EXEC)).toEqual(['json,yaml']);
    expect(modes('columns=a,b', EXEC)).toEqual(['columns=a,b']);
  });

  it('knows only data sources that are there', () => {
    expect(() => modes('counts:json', EXEC)).toThrow(
      '-o names a data source counts, which is not there; there is only exec',
    );
  });
});

describe('--sort and --max-entries', () => {
  it('are for lists', () => {
    expect(asked({ sort: 'comm,-load', maxEntries: 5 }, EXEC, TOP)).toMatchObject([
      { maxEntries: -1 },
      { sort: 'comm,-load', maxEntries: 5 },
    ]);
    expect(asked({ sort: 'load' }, EXEC, TOP)[0]).not.toHaveProperty('sort');
    expect(asked({ sort: 'top:load' }, TOP)).toMatchObject([{ sort: 'load' }]);
  });

  it('are left to the data sources to refuse, where none is a list', () => {
    expect(asked({ sort: 'comm', maxEntries: 5 }, EXEC)).toMatchObject([{ sort: 'comm', maxEntries: 5 }]);
  });
});
