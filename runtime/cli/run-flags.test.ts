import { describe, expect, it } from 'vitest';
import { ebpfParam } from '../gadget/params.js';
import { selectionOf } from './container-flags.js';
import { UsageError } from './fail.js';
import { readFlags, readImage, runOptions } from './run-flags.js';

const PARAMS = [
  ebpfParam('paths', 'bool', 1, new Uint8Array(1)),
  ebpfParam('targ_pid', 'uint32', 4, new Uint8Array(4)),
];
const read = (...words: string[]): ReturnType<typeof readFlags> => readFlags(words, runOptions(), PARAMS);

describe('the words behind `ig run`', () => {
  it('finds the image before it knows the gadget, whatever flags stand around', () => {
    for (const words of [
      ['trace_exec', '--paths', '--host'],
      ['--timeout', '5', '-c', 'web', 'trace_exec'],
      ['--host', 'trace_exec', '--pid=3'],
      ['-o', 'json', '-F', 'a==b', 'trace_exec'],
    ]) {
      expect(readImage(words, runOptions()).image).toBe('trace_exec');
    }
  });

  it('takes the parameters of the gadget as flags', () => {
    expect([...read('trace_exec', '--paths', '--pid', '7').values]).toEqual([
      ['paths', 'true'],
      ['pid', '7'],
    ]);
  });

  it('never takes the next word as the value of a bare boolean', () => {
    expect(read('--paths', 'trace_exec').operands).toEqual(['trace_exec']);
    expect(read('--paths=false', 'trace_exec').values.get('paths')).toBe('false');
    expect(read('--paths', 'false', 'trace_exec').values.get('paths')).toBe('false');
  });

  it('collects filters and splits lists', () => {
    const { flags } = read('x', '-F', 'a==1', '--filter', 'b==2', '--insecure-registries', 'a:1,b:2');
    expect(flags.filter).toEqual(['a==1', 'b==2']);
    expect(flags.insecureRegistries).toEqual(['a:1', 'b:2']);
  });

  it('knows the long name of -c that the peer has', () => {
    expect(selectionOf(read('x', '--runtime-containername', 'web').flags)).toEqual({ containerName: 'web' });
  });

  it.each([
    [['x', '--pat'], /^unknown option '--pat'; did you mean --paths\?$/],
    [['x', '--timeout', 'soon'], /timeout.*'soon'.*number/],
    [['x', '--timeout', '99999999'], /timeout.*number from 0 to 2147483/],
    [['x', '--timeout', '-1'], /timeout.*number from 0 to 2147483/],
    [['x', '--fields'], /--fields <names>.*argument missing/],
  ])('refuses %j with a sentence', (words, message) => {
    expect(() => read(...words)).toThrow(UsageError);
    expect(() => read(...words)).toThrow(message);
  });
});
