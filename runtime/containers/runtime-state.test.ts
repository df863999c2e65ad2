import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stateIn } from './runtime-state.js';

describe('stateIn', () => {
  let root: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'ig-state-'));
  });

  afterEach(() => rmSync(root, { recursive: true }));

  function write(id: string, file: string, json: unknown): void {
    mkdirSync(join(root, id), { recursive: true });
    writeFileSync(join(root, id, file), JSON.stringify(json, undefined, 4));
  }

  // As runc 1.1.5 wrote it, on a machine with hierarchies of both versions.
  const RUNC = {
    id: 'c1',
    init_process_pid: 16516,
    init_process_start: 1246064,
    created: '2026-11-23T08:07:16.085986973Z',
    config: { labels: ['org.example=bundle=/no', 'bundle=/srv/b'] },
    cgroup_paths: {
      '': '/sys/fs/cgroup/unified/default/c1',
      memory: '/sys/fs/cgroup/memory/session/default/c1',
      'name=systemd': '/sys/fs/cgroup/systemd/default/c1',
    },
  };

  it("reads runc's", () => {
    write('c1', 'state.json', RUNC);
    expect(stateIn(root, 'c1')).toEqual({
      id: 'c1',
      folder: join(root, 'c1'),
      pid: 16516,
      startTicks: 1246064,
      created: '2026-11-23T08:07:16.085986973Z',
      bundle: '/srv/b',
      cgroups: ['/default/c1', '/session/default/c1', '/default/c1'],
    });
  });

  it('finds the cgroup where there is the v2 tree only', () => {
    write('c1', 'state.json', { ...RUNC, cgroup_paths: { '': '/sys/fs/cgroup/system.slice/runc-c1.scope' } });
    expect(stateIn(root, 'c1')?.cgroups).toEqual(['/system.slice/runc-c1.scope']);
  });

  it("reads crun's", () => {
    // By src/libcrun/status.c of crun 1.8.1; crun itself does not run on every machine.
    write('c1', 'status', {
      pid: 139179,
      'process-start-time': 263473330,
      'cgroup-path': '/default/c1',
      scope: '',
      intelrdt: '',
      rootfs: 'rootfs',
      'systemd-cgroup': false,
      bundle: '/srv/b',
      created: '2021-08-29T14:34:52.000293421Z',
      owner: 'root',
      detached: true,
      external_descriptors: '[]',
    });
    expect(stateIn(root, 'c1')).toEqual({
      id: 'c1',
      folder: join(root, 'c1'),
      pid: 139179,
      startTicks: 263473330,
      created: '2021-08-29T14:34:52.000293421Z',
      bundle: '/srv/b',
      cgroups: ['/default/c1'],
    });
  });

  it.each([[], {}, { init_process_pid: -1, cgroup_paths: [], config: { labels: [1, null] } }])(
    'makes nothing of %j',
    (json) => {
      write('c1', 'state.json', json);
      expect(stateIn(root, 'c1')).toMatchObject({ pid: 0, bundle: '', cgroups: [] });
    },
  );

  it.each(['', '.', '..', '../c1', 'a/b', 'c\n1'])('looks for no container of the id %j', (id) => {
    write('c1', 'state.json', RUNC);
    writeFileSync(join(root, 'state.json'), JSON.stringify(RUNC));
    expect(stateIn(root, id)).toBeUndefined();
  });

  it('follows no link', () => {
    write('c1', 'state.json', RUNC);
    mkdirSync(join(root, 'c2'));
    symlinkSync(join(root, 'c1', 'state.json'), join(root, 'c2', 'state.json'));
    expect(stateIn(root, 'c2')).toBeUndefined();
  });
});
