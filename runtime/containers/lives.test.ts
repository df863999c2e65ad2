import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Container } from './container.js';
import { type LifeEvent, Lives } from './lives.js';
import { Selector, type SelectorOptions } from './selector.js';
import { ContainerTable } from './table.js';

function container(name: string, fields: Partial<Container> = {}): Container {
  const id = Buffer.from(name.padEnd(32)).toString('hex');
  return {
    key: id,
    id,
    name,
    runtime: 'docker',
    pid: 0,
    mntns: 4_026_532_180,
    imageName: 'busybox:latest',
    imageDigest: '',
    imageId: '',
    startedAt: '',
    bundle: '',
    ...fields,
  };
}

/** As the table has one whose engine has not answered yet. */
function nameless(name: string): Container {
  const { id } = container(name);
  return container(name, { name: id.slice(0, 12), runtime: '' });
}

describe('the lives of containers', () => {
  let events: LifeEvent[];
  let lives: Lives | undefined;

  beforeEach(() => {
    vi.useFakeTimers();
    events = [];
  });

  afterEach(() => {
    lives?.close();
    vi.useRealTimers();
  });

  function tableOf(options: SelectorOptions, ...running: Container[]): ContainerTable {
    const table = new ContainerTable(new Selector(options));
    for (const one of running) table.add(one);
    lives = new Lives(table, (event) => events.push(event));
    return table;
  }

  const told = (): string[] =>
    events.map(({ event, container: { runtime } }) => `${event} ${runtime.containerName}`);

  it('begin with those that run already, told with the time they started', () => {
    const startedAt = '2026-01-02T05:04:05.678912345+02:00';
    tableOf({}, container('early', { startedAt }));
    expect(events).toMatchObject([{ event: 'CREATED', timestamp: '2026-01-02T03:04:05.678Z' }]);
  });

  it('are told once, however often something new is learned', () => {
    const table = tableOf({});
    const { key } = container('web');
    table.add(container('web'));
    table.update(key, { imageDigest: 'sha256:12' });
    table.add(container('web'), 4_026_532_999);
    table.leave(key);
    expect(told()).toEqual(['CREATED web', 'DELETED web']);
    expect(events[1]!.container.runtime.containerImageDigest).toBe('sha256:12');
  });

  it('wait a moment for the name', () => {
    const table = tableOf({});
    table.add(nameless('web'));
    expect(told()).toEqual([]);
    table.update(container('web').key, { name: 'web', runtime: 'docker' });
    expect(told()).toEqual(['CREATED web']);
    vi.runAllTimers();
    expect(told()).toEqual(['CREATED web']);
  });

  it('go without a name that nobody tells', () => {
    const table = tableOf({});
    const { name, key } = nameless('web');
    table.add(nameless('web'));
    vi.runAllTimers();
    expect(told()).toEqual([`CREATED ${name}`]);
    table.leave(key);
    expect(told()).toEqual([`CREATED ${name}`, `DELETED ${name}`]);
  });

  it('have a beginning and an end when they end before they are named', () => {
    const table = tableOf({});
    const { name, key } = nameless('brief');
    table.add(nameless('brief'));
    table.leave(key);
    expect(told()).toEqual([`CREATED ${name}`, `DELETED ${name}`]);
    vi.runAllTimers();
    expect(told()).toHaveLength(2);
  });

  it('are not told of containers that nobody asked for, before their names are known either', () => {
    const table = tableOf({ containerName: '!noise' });
    table.add(nameless('noise'));
    table.update(container('noise').key, { name: 'noise', runtime: 'docker' });
    vi.runAllTimers();
    table.leave(container('noise').key);
    expect(told()).toEqual([]);
  });

  it('begin when a container gets the name that was asked for, and end with it', () => {
    const table = tableOf({ containerName: 'wanted' });
    const { key } = container('other');
    table.add(container('other'));
    expect(told()).toEqual([]);
    table.update(key, { name: 'wanted' });
    table.update(key, { name: 'another' });
    table.leave(key);
    expect(told()).toEqual(['CREATED wanted', 'DELETED another']);
  });

  it('are as many as a container has starts', () => {
    const table = tableOf({});
    for (const pid of [100, 200]) {
      table.add(container('again', { pid }));
      table.leave(container('again').key);
    }
    expect(told()).toEqual(['CREATED again', 'DELETED again', 'CREATED again', 'DELETED again']);
  });

  it('are over when a late sighting brings a container back that has ended', () => {
    const table = tableOf({});
    for (let time = 0; time < 2; time++) {
      table.add(container('brief', { pid: 100 }));
      table.leave(container('brief').key);
    }
    expect(told()).toEqual(['CREATED brief', 'DELETED brief']);
    // Long after, the same number is another process.
    table.sweep(performance.now() + 60_000);
    table.add(container('brief', { pid: 100 }));
    expect(told()).toHaveLength(3);
  });
});
