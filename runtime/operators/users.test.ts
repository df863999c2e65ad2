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
    step();
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
    step();
    expect(textsOf(source, 'proc.creds.user', batch)).toEqual(['uid:7']);
    writeFileSync(files.passwdPath, 'new:x:7:7::/:/bin/sh\n');
    step();
    expect(textsOf(source, 'proc.creds.user', batch)).toEqual(['uid:7']);
    vi.advanceTimersByTime(1000);
    step();
    expect(textsOf(source, 'proc.creds.user', batch)).toEqual(['new']);
  });

  it('shows ids where there is no file', () => {
    const source = sourceOfIds();
    const step = addUsers(source, { passwdPath: join(folder, 'none'), groupPath: folder })!;
    const batch = testBatch(source, [{}]);
    step();
    expect(textsOf(source, 'proc.creds.user', batch)).toEqual(['uid:0']);
    expect(textsOf(source, 'proc.creds.group', batch)).toEqual(['gid:0']);
  });

  describe('of containers', () => {
    /** Row 1 is an event of a container with these names; row 0 one of the host. */
    const ofRow1 = (names: Record<number, string>) => (_: unknown, row: number, id: number) =>
      row === 1 ? names[id] : undefined;

    it('are put beside those of the host where they differ', () => {
      const source = sourceOfIds();
      const users = ofRow1({ 0: 'root', 1000: 'app', 7: 'seven' });
      const step = addUsers(source, files, { user: users, group: ofRow1({ 10: 'staff', 11: 'audio' }) })!;
      const namesOf = (id: number, gid: number, loginuid: number) => {
        const record = { 'proc.creds.uid': id, 'proc.creds.gid': gid, loginuid };
        const batch = testBatch(source, [record, record]);
        step();
        const fields = ['proc.creds.container_user', 'proc.creds.container_group', 'container_loginuser'];
        return fields.map((field) => textsOf(source, field, batch));
      };
      const none = [undefined, undefined];
      expect(namesOf(1000, 10, 7)).toEqual([
        [undefined, 'app'],
        [undefined, 'staff'],
        [undefined, 'seven'],
      ]);
      expect(namesOf(0, 12, 0xffff_ffff)).toEqual([none, none, none]);
      expect(namesOf(7, 11, 1000)).toEqual([
        [undefined, 'seven'],
        [undefined, 'audio'],
        [undefined, 'app'],
      ]);
    });

    it('are hidden unless asked for', () => {
      const source = sourceOfIds();
      addUsers(source, files, { user: () => 'app', group: () => 'app' });
      expect(selectColumns(source).map((column) => column.title)).toEqual(['USER', 'LOGINUSER', 'GROUP']);
      expect(selectColumns(source, 'user,container_user').map((column) => column.title)).toEqual([
        'USER',
        'CONTAINER_USER',
      ]);
    });

    it('change as the host’s do', () => {
      vi.useFakeTimers();
      const source = sourceOfIds();
      const step = addUsers(source, files, { user: () => 'app', group: () => undefined })!;
      const batch = testBatch(source, [{ 'proc.creds.uid': 7 }]);
      step();
      expect(textsOf(source, 'proc.creds.container_user', batch)).toEqual(['app']);
      writeFileSync(files.passwdPath, 'app:x:7:7::/:/bin/sh\n');
      vi.advanceTimersByTime(1000);
      step();
      expect(textsOf(source, 'proc.creds.container_user', batch)).toEqual([undefined]);
    });
  });
});
