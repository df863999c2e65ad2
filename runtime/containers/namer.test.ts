import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Engine, EngineContainer } from './engines/engine.js';
import { Namer } from './namer.js';
import { mntnsOf } from './proc.js';
import { Selector } from './selector.js';
import { ContainerTable } from './table.js';
import type { Sighting } from './sighting.js';

const ID = 'ab'.repeat(32);
const HOST_MNTNS = 1;
// This process plays the container's first one: it lives, in a namespace that is not the "host's".
const PID = process.pid;
const MNTNS = mntnsOf('self')!;

const DETAILS: EngineContainer = {
  key: ID,
  id: ID,
  name: 'web',
  pid: 0,
  imageName: 'nginx',
  imageDigest: '',
  imageId: '',
  startedAt: '',
  bundle: '',
};

/** An engine whose inspection the test answers, which no real one could be made to delay. */
function engine(inspect: (id: string) => Promise<EngineContainer | undefined>): Engine {
  return {
    name: 'docker',
    address: '/nowhere',
    connect: () => Promise.resolve(),
    list: () => Promise.resolve([]),
    watch: () => Promise.resolve(),
    inspect,
    close: () => {},
  };
}

function sighting(fields: Partial<Sighting> = {}): Sighting {
  return {
    mntns: MNTNS,
    pid: PID,
    parentPid: 1,
    ownPids: false,
    cgroupId: 0,
    sharesCgroup: false,
    bootNs: 1e9,
    sinceBootNs: 1e9,
    cgroup: ID,
    parentCgroup: 'docker',
    ancestor: '',
    ...fields,
  };
}

describe('Namer', () => {
  let table: ContainerTable;
  let namer: Namer;

  beforeEach(() => {
    table = new ContainerTable(new Selector());
    namer = new Namer(table, HOST_MNTNS);
  });

  it('knows the host from the start', () => {
    expect(table.isHost(HOST_MNTNS)).toBe(true);
  });

  it('names a namespace at once when its container was announced', () => {
    namer.learnAll(
      engine(() => new Promise(() => {})),
      [DETAILS],
    );
    void namer.resolve(sighting());
    expect(table.byMntns(MNTNS)?.container).toMatchObject({
      id: ID,
      name: 'web',
      runtime: 'docker',
      pid: PID,
    });
  });

  it('asks the engine about a container that was not announced', async () => {
    namer.learnAll(
      engine(() => Promise.resolve(DETAILS)),
      [],
    );
    await namer.resolve(sighting());
    expect(table.byMntns(MNTNS)?.container.name).toBe('web');
  });

  it('does not wait long for an engine that hangs, and takes its name when it comes', async () => {
    let answer: (details: EngineContainer) => void = () => {};
    namer.learnAll(
      engine(() => new Promise((resolve) => (answer = resolve))),
      [],
    );
    await namer.resolve(sighting());
    expect(table.byMntns(MNTNS)?.container).toMatchObject({ name: ID.slice(0, 12), runtime: '' });
    answer(DETAILS);
    await new Promise(setImmediate);
    expect(table.byMntns(MNTNS)?.container).toMatchObject({ name: 'web', runtime: 'docker' });
  });

  it('names a container that was announced and deleted while the engine was asked for it', async () => {
    let answer: (details: undefined) => void = () => {};
    const docker = engine(() => new Promise((resolve) => (answer = resolve)));
    namer.learnAll(docker, []);
    const resolving = namer.resolve(sighting());
    namer.hear(docker, { kind: 'created', key: ID, name: 'brief', imageName: 'busybox' });
    namer.hear(docker, { kind: 'removed', key: ID });
    namer.hear(docker, { kind: 'deleted', key: ID });
    answer(undefined);
    await resolving;
    expect(table.byMntns(MNTNS)?.container.name).toBe('brief');
  });

  it('waits for nobody else once an engine has named the container', async () => {
    namer.learnAll(
      engine(() => new Promise(() => {})),
      [],
    );
    namer.learnAll(
      engine(() => Promise.resolve(DETAILS)),
      [],
    );
    vi.useFakeTimers();
    try {
      // Would wait for ever, as no time passes.
      await namer.resolve(sighting());
    } finally {
      vi.useRealTimers();
    }
    expect(table.byMntns(MNTNS)?.container.name).toBe('web');
  });

  it('does not ask an engine that is lost', async () => {
    const docker = engine(() => Promise.resolve(DETAILS));
    namer.learnAll(docker, []);
    namer.lose(docker);
    await namer.resolve(sighting());
    expect(table.byMntns(MNTNS)?.container.name).toBe(ID.slice(0, 12));
  });

  it('forgets an answer about who was in the namespace before', async () => {
    let answer: (details: undefined) => void = () => {};
    namer.learnAll(
      engine(() => new Promise((resolve) => (answer = resolve))),
      [],
    );
    const resolving = namer.resolve(sighting({ bootNs: 1e9 }));
    await namer.resolve(sighting({ bootNs: 2e9, pid: 0, cgroup: 'nginx.service' }));
    answer(undefined);
    await resolving;
    expect(table.isHost(MNTNS)).toBe(true);
    expect(table.byKey(ID)).toBeUndefined();
  });

  it('finds the container a process lies deeper in', async () => {
    await namer.resolve(sighting({ cgroup: 'nginx.service', ancestor: `docker-${ID}.scope` }));
    expect(table.byMntns(MNTNS)?.container.id).toBe(ID);
  });

  it('keeps what the machine tells of a container for as long as engines are asked about it', async () => {
    let answer: (details: undefined) => void = () => {};
    namer.learnAll(
      engine(() => new Promise((resolve) => (answer = resolve))),
      [],
    );
    const resolving = namer.resolve(
      sighting({ cgroup: 'own-name', parentCgroup: '', ownPids: true, pid: 0 }),
    );
    namer.checkAlive();
    answer(undefined);
    await resolving;
    expect(table.byMntns(MNTNS)?.container).toMatchObject({ id: 'own-name', name: 'own-name' });
  });

  it('leaves the namespace of a container that has just ended to it when its process is gone, too', async () => {
    await namer.resolve(sighting({ pid: 0 }));
    table.leave(ID);
    namer.identify(MNTNS, 0);
    await new Promise(setImmediate);
    expect(table.isHost(MNTNS)).toBe(false);
    expect(table.byMntns(MNTNS)?.container.id).toBe(ID);
  });

  it('has a container that was overtaken while engines were asked keep its own time in the namespace', () => {
    namer.learnAll(
      engine(() => new Promise(() => {})),
      [],
    );
    const other = 'cd'.repeat(32);
    void namer.resolve(sighting({ bootNs: 1e9 }));
    void namer.resolve(sighting({ bootNs: 2e9, cgroup: other }));
    const first = table.rows().find((row) => row.container.id === ID);
    expect(first?.container.removedAtMs).toBeTypeOf('number');
    expect(first?.untilBootNs).toBeLessThan(2e9);
    expect(table.isHost(MNTNS)).toBe(false);
  });

  it('lets go of a container whose processes are gone', async () => {
    await namer.resolve(sighting());
    namer.checkAlive();
    expect(table.byKey(ID)).toBeDefined();
    await namer.resolve(sighting({ cgroup: 'cd'.repeat(32), mntns: 2, pid: 0 }));
    namer.checkAlive();
    expect(table.byMntns(2)?.container.removedAtMs).toBeTypeOf('number');
    expect(table.byKey(ID)).toBeDefined();
  });

  it('goes on with another process of the namespace when the first one seen has ended', async () => {
    await namer.resolve(sighting({ pid: 0 }));
    namer.checkAlive();
    const pid = table.byKey(ID)?.container.pid ?? 0;
    expect(mntnsOf(pid)).toBe(MNTNS);
  });
});
