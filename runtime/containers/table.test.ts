import { describe, expect, it } from 'vitest';
import { Span } from '../data/batch.js';
import type { TableChange } from './change.js';
import type { Container } from './container.js';
import { Selector } from './selector.js';
import { ContainerTable } from './table.js';
import { ContainerView, NOT_CONTAINER, CONTAINER_FIELDS, UNKNOWN } from './view.js';

const MNTNS = 4_026_532_180;
const OTHER_MNTNS = 4_026_532_181;

function container(name: string, mntns = MNTNS, fields: Partial<Container> = {}): Container {
  const id = Buffer.from(name.padEnd(32)).toString('hex');
  return {
    key: id,
    id,
    name,
    runtime: 'docker',
    pid: 4242,
    mntns,
    imageName: 'busybox:latest',
    imageDigest: '',
    imageId: '',
    startedAt: '2026-01-02T03:04:05Z',
    bundle: '',
    ...fields,
  };
}

/** A table, and a copy of it that went through structured cloning as a worker's does. */
function tableAndView(selector = new Selector()): { table: ContainerTable; view: ContainerView } {
  const table = new ContainerTable(selector, 1000);
  const view = new ContainerView();
  table.subscribe((change) => view.apply(structuredClone(change)));
  return { table, view };
}

function text(view: ContainerView, index: number, field: string): string | undefined {
  const span = new Span();
  const place = CONTAINER_FIELDS.findIndex(({ name }) => name === field);
  if (!view.locate(index, place, span)) return undefined;
  return Buffer.from(span.bytes.subarray(span.start, span.end)).toString('utf8');
}

function nameAt(view: ContainerView, mntns: number, bootNs?: number): string | undefined {
  return text(view, view.indexOf(mntns, 0, bootNs), 'runtime.containerName');
}

describe('ContainerTable', () => {
  it('finds a container by index, key and namespace', () => {
    const { table } = tableAndView();
    const { index } = table.add(container('web', MNTNS));
    for (const row of [table.byIndex(index), table.byKey(container('web').key), table.byMntns(MNTNS)]) {
      expect(row?.container.name).toBe('web');
    }
  });

  it('never gives an index twice, not even to the same container started again', () => {
    const { table } = tableAndView();
    const first = table.add(container('web'));
    table.leave(first.container.id);
    table.sweep(performance.now() + 2000);
    expect(table.add(container('web')).index).not.toBe(first.index);
  });

  it('remembers a container that ended for the time of grace, and forgets it then', () => {
    const { table, view } = tableAndView();
    const { index, container: web } = table.add(container('web'));
    table.leave(web.id);
    expect(table.sweep(performance.now() + 900)).toEqual([]);
    expect(text(view, index, 'runtime.containerName')).toBe('web');
    expect(table.sweep(performance.now() + 1100).map((row) => row.index)).toEqual([index]);
    expect(table.byMntns(MNTNS)).toBeUndefined();
    expect(text(view, index, 'runtime.containerName')).toBeUndefined();
    expect(view.indexOf(MNTNS, 0)).toBe(UNKNOWN);
  });

  it('lets the container that comes to a namespace replace the one that was there', () => {
    const { table } = tableAndView();
    const old = table.add(container('old'));
    const young = table.add(container('young'));
    expect(table.byMntns(MNTNS)).toBe(young);
    expect(table.byKey(old.container.id)).toBeUndefined();
    expect(table.byIndex(old.index)?.container.removedAtMs).toBeTypeOf('number');
  });

  it('keeps a container that starts again in a namespace of the same number', () => {
    const { table } = tableAndView();
    table.add(container('web'));
    table.leave(container('web').key);
    const again = table.add(container('web'));
    expect(table.byKey(container('web').key)).toBe(again);
    table.sweep(performance.now() + 2000);
    expect(table.byMntns(MNTNS)).toBe(again);
  });

  it('counts a namespace that a container made as its own', () => {
    const { table, view } = tableAndView();
    const web = table.add(container('web'));
    table.add(web.container, OTHER_MNTNS);
    expect(view.indexOf(OTHER_MNTNS, 0)).toBe(web.index);
    expect(view.indexOf(MNTNS, 0)).toBe(web.index);
    table.notContainer(OTHER_MNTNS);
    expect(view.indexOf(OTHER_MNTNS, 0)).toBe(NOT_CONTAINER);
    expect(view.indexOf(MNTNS, 0)).toBe(web.index);
  });

  it('marks what the user asked for, again after a rename', () => {
    const { table, view } = tableAndView(new Selector({ containerName: 'web' }));
    const { index, container: one } = table.add(container('one'));
    expect(view.isSelected(index)).toBe(false);
    table.update(one.id, { name: 'web' });
    expect(view.isSelected(index)).toBe(true);
    expect(text(view, index, 'runtime.containerName')).toBe('web');
  });

  it('hears no more once unsubscribed', () => {
    const { table } = tableAndView();
    const heard: TableChange[] = [];
    const stop = table.subscribe((change) => heard.push(change));
    table.add(container('one'));
    stop();
    table.add(container('two', OTHER_MNTNS));
    expect(heard).toHaveLength(1);
  });
});

describe('ContainerView', () => {
  it('takes a namespace from whoever had it before as early as it is found that the next was there', () => {
    const { table, view } = tableAndView();
    table.notContainer(MNTNS, 1000);
    const web = table.add(container('web'), MNTNS, 5000);
    table.add(web.container, MNTNS, 4000);
    expect(view.indexOf(MNTNS, 0, 3999)).toBe(NOT_CONTAINER);
    expect(view.indexOf(MNTNS, 0, 4001)).toBe(web.index);
  });

  it('tells a container, the host, and what nobody has told of yet', () => {
    const { table, view } = tableAndView();
    const { index } = table.add(container('web'));
    table.notContainer(OTHER_MNTNS);
    expect(view.indexOf(MNTNS, 0)).toBe(index);
    expect(view.indexOf(OTHER_MNTNS, 0)).toBe(NOT_CONTAINER);
    expect(view.indexOf(4_026_539_999, 0)).toBe(UNKNOWN);
    expect(view.indexOf(MNTNS, 1)).toBe(UNKNOWN);
    expect(view.indexOf(0, 0)).toBe(NOT_CONTAINER);
  });

  it('holds the bytes of every field', () => {
    const { table, view } = tableAndView();
    const pod = {
      namespace: 'default',
      podName: 'web-0',
      podUid: 'u1',
      containerName: 'nginx',
      labels: { role: 'demo', app: 'web' },
      hostNetwork: false,
      ownerKind: 'StatefulSet',
      ownerName: '',
      sandboxId: '',
    };
    const { index } = table.add(container('wéb', MNTNS, { imageDigest: 'sha256:ab', pod }));
    const values = CONTAINER_FIELDS.filter(({ kind }) => kind === 'string').map(({ name }) => [
      name,
      text(view, index, name),
    ]);
    expect(Object.fromEntries(values)).toEqual({
      'k8s.namespace': 'default',
      'k8s.podName': 'web-0',
      'k8s.containerName': 'nginx',
      'k8s.podLabels': 'app=web,role=demo',
      'k8s.owner.kind': 'StatefulSet',
      'k8s.owner.name': undefined,
      'runtime.containerName': 'wéb',
      'runtime.runtimeName': 'docker',
      'runtime.containerId': container('wéb').id,
      'runtime.containerImageName': 'busybox:latest',
      'runtime.containerImageDigest': 'sha256:ab',
      'runtime.containerStartedAt': '2026-01-02T03:04:05Z',
    });
    const span = new Span();
    view.locate(
      index,
      CONTAINER_FIELDS.findIndex(({ kind }) => kind === 'uint32'),
      span,
    );
    expect(span.end - span.start).toBe(4);
    expect(span.view.getUint32(span.start, true)).toBe(4242);
    expect(view.locate(NOT_CONTAINER, 0, span)).toBe(false);
  });

  it('gives an event to who was in the namespace at its time', () => {
    const { table, view } = tableAndView();
    table.add(container('old'), MNTNS, 1000);
    table.leave(container('old').id, 2000);
    expect(nameAt(view, MNTNS, 1500)).toBe('old');
    expect(view.indexOf(MNTNS, 0, 2500)).toBe(UNKNOWN);

    table.add(container('young'), MNTNS, 3000);
    expect(nameAt(view, MNTNS, 1500)).toBe('old');
    expect(nameAt(view, MNTNS, 3500)).toBe('young');
    expect(nameAt(view, MNTNS)).toBe('young');
    table.sweep(performance.now() + 2000);
    expect(nameAt(view, MNTNS, 3500)).toBe('young');
  });

  it('leaves late events to a container whose end nobody told when another came', () => {
    const { table, view } = tableAndView();
    table.add(container('old'), MNTNS, 1000);
    table.add(container('young'), MNTNS, 3000);
    expect(nameAt(view, MNTNS, 2900)).toBe('old');
    expect(nameAt(view, MNTNS, 3100)).toBe('young');
    table.notContainer(MNTNS, 4000);
    expect(nameAt(view, MNTNS, 3900)).toBe('young');
    expect(view.indexOf(MNTNS, 0, 4100)).toBe(NOT_CONTAINER);
  });

  it('knows from a snapshot what it would know from the changes', () => {
    const { table, view } = tableAndView(new Selector({ host: true, containerName: '!db' }));
    table.add(container('old'), MNTNS, 1000);
    table.leave(container('old').id, 2000);
    table.add(container('db'), MNTNS, 3000);
    table.add(container('gone', OTHER_MNTNS), OTHER_MNTNS, 1000);
    table.notContainer(OTHER_MNTNS, 4000);

    const copy = new ContainerView();
    for (const change of table.snapshot()) copy.apply(structuredClone(change));
    for (const mntns of [MNTNS, OTHER_MNTNS]) {
      for (const bootNs of [1500, 3500, 5000]) {
        expect(copy.indexOf(mntns, 0, bootNs)).toBe(view.indexOf(mntns, 0, bootNs));
      }
    }
    expect(copy.isSelected(copy.indexOf(MNTNS, 0))).toBe(false);
    expect(copy.isSelected(NOT_CONTAINER)).toBe(true);
  });
});
