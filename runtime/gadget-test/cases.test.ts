import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../../test/registry/images.js';
import { GadgetFolder } from '../build/folder.js';
import { type TestCase, readCases } from './cases.js';

/** A folder with these files in `test`. */
function folder(files: Readonly<Record<string, string>>): GadgetFolder {
  const root = temporaryDirectory();
  mkdirSync(join(root, 'test'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, 'test', name), text);
  return new GadgetFolder(root);
}

function casesOf(yaml: string): TestCase[] {
  return readCases(folder({ 'execs.ig': '', 'test.yaml': yaml }));
}

describe('the tests of a folder', () => {
  it('are its recordings', () => {
    const given = folder({ 'b.ig': '', 'a.ig': '', 'a.expected.jsonl': '' });
    const where = (file: string): string => join(given.path, 'test', file);
    expect(readCases(given)).toEqual(
      ['a', 'b'].map((name) => ({
        name,
        recording: where(`${name}.ig`),
        expected: where(`${name}.expected.jsonl`),
        params: new Map(),
        dataSource: undefined,
        fields: undefined,
        where: where(`${name}.ig`),
      })),
    );
  });

  it('are those of test.yaml, if there is one', () => {
    const [all, some] = casesOf(`all: { recording: execs.ig }
some:
  recording: execs.ig
  params: { text: sh, number: 7, flag: true }
  datasource: exec
  fields: [proc.comm, args]
`);
    expect(all).toMatchObject({ name: 'all', params: new Map(), fields: undefined });
    expect(some).toMatchObject({ name: 'some', dataSource: 'exec', fields: ['proc.comm', 'args'] });
    expect([...some!.params]).toEqual(Object.entries({ text: 'sh', number: '7', flag: 'true' }));
    expect(some!.where).toMatch(/test\.yaml:2$/);
    expect(some!.expected).toMatch(/some\.expected\.jsonl$/);
  });

  it('are asked for if there are none', () => {
    for (const none of [folder({}), new GadgetFolder(temporaryDirectory())]) {
      expect(() => readCases(none)).toThrow(
        /^there is no recording in .*test to test with; make one: sudo ig run GADGET --host --record .*test\/NAME\.ig$/,
      );
    }
    expect(() => casesOf('# nothing\n')).toThrow('there is no recording');
  });

  it.each([
    ['[all]\n', /test\.yaml:1: expected the names of tests/],
    ['all: execs.ig\n', /test\.yaml:1: expected `recording: FILE\.ig` below/],
    ['\n../x: { recording: execs.ig }\n', /test\.yaml:2: "\.\.\/x" is no name for a test/],
    [
      'all:\n  record: execs.ig\n',
      /test\.yaml:2: unknown key "record", expected one of recording, params, datasource, fields/,
    ],
    ['all: {}\n', /test\.yaml:1: test all names no recording/],
    ['all: { recording: other.ig }\n', /^there is no recording .*other\.ig$/],
    ['all: { recording: ../../x.ig }\n', /lies outside the gadget's folder/],
    ['all:\n  recording: execs.ig\n  params: [hide]\n', /test\.yaml:3: params are keys/],
    ['all:\n  recording: execs.ig\n  params: { hide: [x] }\n', /test\.yaml:3: params are keys/],
    ['all:\n  recording: execs.ig\n  datasource: [exec]\n', /test\.yaml:3: datasource is a name/],
    ['all:\n  recording: execs.ig\n  fields: comm\n', /test\.yaml:3: fields is a list/],
    ['all: {\n', /test\.yaml:[12]: /],
  ])('are refused in %j', (yaml, sentence) => {
    expect(() => casesOf(yaml)).toThrow(sentence);
  });
});
