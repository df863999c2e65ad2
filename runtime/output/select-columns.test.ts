import { describe, expect, it } from 'vitest';
import { createOutput } from './modes.js';
import { resolveField, selectColumns } from './select-columns.js';
import { headerOf, testBatch, testSource } from './testing.js';
import { ByteWriter } from './byte-writer.js';

const source = testSource([
  { name: 'timestamp', kind: 'string', annotations: { template: 'timestamp' } },
  { name: 'proc', kind: 'none', hidden: true },
  { name: 'proc.comm', kind: 'cstring', annotations: { 'columns.alias': 'comm' } },
  { name: 'proc.pid', kind: 'uint32', annotations: { 'columns.alias': 'pid', template: 'pid' } },
  { name: 'proc.parent.comm', kind: 'cstring', annotations: { 'columns.alias': 'pcomm' } },
  { name: 'proc.parent.tid', kind: 'uint32', hidden: true },
  { name: 'src.port', kind: 'uint16' },
  { name: 'dst.port', kind: 'uint16' },
]);

const titles = (fields?: string): string[] => selectColumns(source, fields).map((column) => column.title);

describe('selectColumns', () => {
  it('shows the fields that are not hidden', () => {
    expect(titles()).toEqual(['COMM', 'PID', 'PCOMM', 'SRC.PORT', 'DST.PORT']);
  });

  it('takes full names, aliases and last parts', () => {
    expect(titles('proc.parent.comm,COMM,tid')).toEqual(['PCOMM', 'COMM', 'PROC.PARENT.TID']);
  });

  it('takes the one that is shown, of several whose names end the same', () => {
    const names = testSource([
      { name: 'k8s.containerName', kind: 'string', hidden: true },
      { name: 'runtime.containerName', kind: 'string' },
    ]);
    expect(resolveField(names, 'containername').fullName).toBe('runtime.containerName');
  });

  it('adds to and removes from what is shown', () => {
    expect(titles('+timestamp,-dst.port,-pid')).toEqual(['COMM', 'PCOMM', 'SRC.PORT', 'TIMESTAMP']);
  });

  it('says what is wrong with a choice', () => {
    expect(() => titles('+comm,pid')).toThrow('--fields +comm,pid mixes');
    expect(() => titles('proc.com')).toThrow(
      'data source test has no field proc.com; did you mean proc.comm?',
    );
    expect(() => titles('port')).toThrow(
      'field port of test could be any of src.port, dst.port; give the full name',
    );
    expect(() => titles('proc.parent')).toThrow(
      'proc.parent of test is a group of fields; choose from proc.parent.comm',
    );
    expect(() => titles('qwertyuiop')).toThrow(
      'data source test has no field qwertyuiop; the help of the gadget lists its fields (-h)',
    );
    expect(() => titles(' ')).toThrow('names no field');
  });

  it('applies the template, and the field over it', () => {
    expect(selectColumns(source, 'pid')[0]).toMatchObject({ alignment: 'right', minWidth: 7, width: 16 });
    expect(resolveField(source, 'PID').fullName).toBe('proc.pid');
  });
});

describe('createOutput', () => {
  it('refuses an unknown mode', () => {
    expect(() => createOutput('jsn', source)).toThrow('unknown output mode jsn; did you mean json?');
    expect(() => createOutput('constructor', source)).toThrow('unknown output mode constructor');
  });

  it('shows a view unless fields are chosen', () => {
    const view = selectColumns(source, 'pid');
    expect(headerOf(createOutput('columns', source, { view }))).toBe('             PID\n');
    expect(headerOf(createOutput('columns', source, { view, fields: 'comm' }))).toBe('COMM\n');
  });

  it('counts the kept records in mode none', () => {
    const batch = testBatch(source, [{}, {}, {}]);
    batch.keep[0] = 0;
    const writer = new ByteWriter();
    expect(createOutput('none', source).write(batch, writer)).toBe(2);
    expect(createOutput('none', source).write(batch, writer, Uint32Array.of(0, 1))).toBe(1);
    expect(writer.position).toBe(0);
  });
});
