import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { selectColumns } from '../output/select-columns.js';
import { testBatch, testSource } from '../output/testing.js';
import { textsOf } from './testing.js';
import { addUsers } from './users.js';

let folder: string;
let files: { passwdPath: string; groupPath: string };

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ig-users-'));
  files = { passwdPath: join(folder, 'passwd'), groupPath: join(folder, 'group') };
  writeFileSync(
    files.passwdPath,
    'root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\nbroken\nana:x:1000:1000:::\n',
  );
  writeFileSync(files.groupPath, 'wheel:x:10:ana\n');
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true });
});

const sourceOfIds = () =>
  testSource([
    { name: 'proc.creds.uid', kind: 'uint32', tags: ['type:gadget_uid'] },
    { name: 'proc.creds.gid', kind: 'uint32', tags: ['type:gadget_gid'] },
    { name: 'loginuid', kind: 'uint32', tags: ['type:gadget_uid'] },
  ]);

describe('users', () => {
  it('puts names beside ids and hides the ids', () => {
    const source = sourceOfIds();
    const step = addUsers(source, files)!;
    const batch = testBatch(source, [
      { 'proc.creds.uid': 0, 'proc.creds.gid': 10, loginuid: 0xffff_ffff },
      { 'proc.creds.uid': 1000, 'proc.creds.gid': 11, loginuid: 1000 },
    ]);
    step(batch);
    expect(textsOf(source, 'proc.creds.user', batch)).toEqual(['root', 'ana']);
    expect(textsOf(source, 'proc.creds.group', batch)).toEqual(['wheel', 'gid:11']);
    expect(textsOf(source, 'loginuser', batch)).toEqual([undefined, 'ana']);
    expect(selectColumns(source).map((column) => column.title)).toEqual(['USER', 'LOGINUSER', 'GROUP']);
  });

  it('names the field as the annotation says, and leaves existing ones alone', () => {
    const source = testSource([
      {
        name: 'owner',
        kind: 'uint32',
        tags: ['type:gadget_uid'],
        annotations: { 'uidgidresolver.target': 'who' },
      },
      { name: 'uid', kind: 'uint32', tags: ['type:gadget_uid'] },
      { name: 'user', kind: 'string' },
    ]);
    addUsers(source, files);
    expect(source.fields.map((field) => field.fullName)).toEqual(['owner', 'uid', 'user', 'who']);
  });

  it('has nothing to do without ids', () => {
    expect(addUsers(testSource([{ name: 'uid', kind: 'uint32' }]), files)).toBeUndefined();
  });

  it('reads a changed file again, after a second at the latest', () => {
    vi.useFakeTimers();
    const source = sourceOfIds();
    const step = addUsers(source, files)!;
    const batch = testBatch(source, [{ 'proc.creds.uid': 7 }]);
    step(batch);
    expect(textsOf(source, 'proc.creds.user', batch)).toEqual(['uid:7']);
    writeFileSync(files.passwdPath, 'new:x:7:7::/:/bin/sh\n');
    step(batch);
    expect(textsOf(source, 'proc.creds.user', batch)).toEqual(['uid:7']);
    vi.advanceTimersByTime(1000);
    step(batch);
    expect(textsOf(source, 'proc.creds.user', batch)).toEqual(['new']);
  });

  it('shows ids where there is no file', () => {
    const source = sourceOfIds();
    const step = addUsers(source, { passwdPath: join(folder, 'none'), groupPath: folder })!;
    const batch = testBatch(source, [{}]);
    step(batch);
    expect(textsOf(source, 'proc.creds.user', batch)).toEqual(['uid:0']);
    expect(textsOf(source, 'proc.creds.group', batch)).toEqual(['gid:0']);
  });
});
