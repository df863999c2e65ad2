import { describe, expect, it } from 'vitest';
import type { Container } from '../containers/container.js';
import { ContainerView } from '../containers/view.js';
import { Batch, OFFSETS_SIZE_BYTES, Span } from '../data/batch.js';
import { DataSource } from '../data/data-source.js';
import { locatorOf } from '../data/field.js';
import { ContainerNames } from './containers.js';

const HOST = 1;
const NS = 77;

function container(name: string): Container {
  const nothing = { imageName: '', imageDigest: '', imageId: '', startedAt: '', bundle: '' };
  return { key: name, id: name, name, runtime: 'docker', pid: 1, mntns: NS, ...nothing };
}

/** A record: u64 mount namespace, u64 boot time. */
function batchOf(...records: readonly (readonly [mntns: number, bootNs: number])[]): Batch {
  const batch = new Batch(records.length * 16);
  records.forEach(([mntns, bootNs], row) => {
    const at = OFFSETS_SIZE_BYTES + row * 16;
    batch.offsets[row] = at;
    batch.view.setBigUint64(at, BigInt(mntns), true);
    batch.view.setBigUint64(at + 8, BigInt(bootNs), true);
  });
  batch.offsets[records.length] = OFFSETS_SIZE_BYTES + records.length * 16;
  batch.reset(records.length);
  return batch;
}

function setUp(filtering: boolean): {
  view: ContainerView;
  names: ContainerNames;
  nameOf: (batch: Batch, row: number) => string | undefined;
} {
  const source = new DataSource('exec', 'single', 16);
  for (const [place, type] of ['gadget_mntns_id', 'gadget_timestamp'].entries()) {
    source.addField({
      fullName: type,
      kind: 'uint64',
      tags: [`type:${type}`],
      location: { in: 'record', offset: place * 8, size: 8 },
    });
  }
  const view = new ContainerView();
  view.apply({ kind: 'notContainer', mntns: HOST, sinceBootNs: 0, selected: !filtering });
  const names = ContainerNames.of(source, view, { filtering, hostMntns: HOST })!;
  const locate = locatorOf(source.field('runtime.containerName')!);
  const span = new Span();
  return {
    view,
    names,
    nameOf: (batch, row) =>
      locate(batch, row, span)
        ? Buffer.from(span.bytes.subarray(span.start, span.end)).toString()
        : undefined,
  };
}

/** What became of the records: the rows held, and how many were lost. */
function process(
  names: ContainerNames,
  batch: Batch,
  fresh: boolean,
  catchUp = () => {},
): { held: number[]; lost: number } {
  const outcome = { held: [] as number[], lost: 0 };
  names.process(batch, fresh, {
    catchUp,
    hold: (row) => outcome.held.push(row) > 0,
    lose: () => outcome.lost++,
  });
  return outcome;
}

const add = (name: string, index: number, sinceBootNs: number, selected = true) =>
  ({ kind: 'add', index, mntns: NS, sinceBootNs, selected, container: container(name) }) as const;

describe('the containers of events', () => {
  it('have the event held until its namespace is named, as it was at the time of the event', () => {
    const { view, names, nameOf } = setUp(true);
    view.apply(add('first', 0, 100));
    view.apply({ kind: 'leave', index: 0, untilBootNs: 200 });
    const batch = batchOf([NS, 150], [NS, 300]);
    expect(process(names, batch, true)).toEqual({ held: [1], lost: 0 });
    expect(nameOf(batch, 0)).toBe('first');
    expect(names.knows(NS, 150)).toBe(true);
    expect(names.knows(NS, 300)).toBe(false);
    view.apply(add('second', 1, 250));
    expect(names.knows(NS, 300)).toBe(true);
    const later = batchOf([NS, 150], [NS, 300]);
    expect(process(names, later, false)).toEqual({ held: [], lost: 0 });
    expect([nameOf(later, 0), nameOf(later, 1)]).toEqual(['first', 'second']);
  });

  it('leave out what was not asked for, and count as lost what nobody named in time', () => {
    const { view, names } = setUp(true);
    view.apply(add('other', 0, 0, false));
    const batch = batchOf([NS, 10], [HOST, 10], [99, 10]);
    expect(process(names, batch, false)).toEqual({ held: [], lost: 1 });
    expect([...batch.keep.subarray(0, 3)]).toEqual([0, 0, 0]);
  });

  it('are no reason to lose an event when everything is shown', () => {
    const { names, nameOf } = setUp(false);
    const batch = batchOf([HOST, 10], [99, 10]);
    expect(process(names, batch, false)).toEqual({ held: [], lost: 0 });
    expect([...batch.keep.subarray(0, 2)]).toEqual([1, 1]);
    expect(nameOf(batch, 1)).toBeUndefined();
  });

  it('are looked up once the view knows of the namespaces that have been sighted by then', () => {
    const { view, names, nameOf } = setUp(false);
    view.apply({ kind: 'notContainer', mntns: NS, sinceBootNs: 0, selected: true });
    let caughtUp = 0;
    const batch = batchOf([HOST, 10], [NS, 150], [NS, 160]);
    const outcome = process(names, batch, true, () => {
      caughtUp++;
      view.apply(add('next', 0, 100));
    });
    expect(outcome).toEqual({ held: [], lost: 0 });
    expect([nameOf(batch, 0), nameOf(batch, 1), nameOf(batch, 2)]).toEqual([undefined, 'next', 'next']);
    expect(caughtUp).toBe(1);
  });

  it('leave a field of the gadget alone that has the name of theirs', () => {
    const source = new DataSource('exec', 'single', 16);
    const location = { in: 'record', offset: 0, size: 8 } as const;
    source.addField({ fullName: 'mntns', kind: 'uint64', tags: ['type:gadget_mntns_id'], location });
    const own = source.addField({ fullName: 'runtime.containerName', kind: 'uint64', location });
    ContainerNames.of(source, new ContainerView(), { filtering: false, hostMntns: HOST });
    expect(source.field('runtime.containerName')).toBe(own);
    expect(source.field('runtime.containerId')).toBeDefined();
  });

  it('need no news for events of the host', () => {
    const { names } = setUp(false);
    process(names, batchOf([HOST, 10]), true, () => expect.unreachable());
  });

  it('are nobody’s while a namespace that changed hands is being found out about', () => {
    const { view, names, nameOf } = setUp(false);
    view.apply(add('first', 0, 100));
    view.apply({ kind: 'unknown', mntns: NS, sinceBootNs: 200 });
    expect(process(names, batchOf([NS, 150], [NS, 250]), true)).toEqual({ held: [1], lost: 0 });
    view.apply(add('second', 1, 200));
    const later = batchOf([NS, 150], [NS, 250]);
    process(names, later, false);
    expect([nameOf(later, 0), nameOf(later, 1)]).toEqual(['first', 'second']);
  });

  it('leave late events of a service to the host when its namespace’s number is a container’s by then', () => {
    const { view, names, nameOf } = setUp(false);
    view.apply({ kind: 'notContainer', mntns: NS, sinceBootNs: 0, selected: true });
    view.apply({ kind: 'unknown', mntns: NS, sinceBootNs: 200 });
    view.apply(add('next', 0, 200));
    const batch = batchOf([NS, 150], [NS, 250]);
    process(names, batch, true);
    expect([nameOf(batch, 0), nameOf(batch, 1)]).toEqual([undefined, 'next']);
  });
});
