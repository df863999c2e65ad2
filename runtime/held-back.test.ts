import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Container } from './containers/container.js';
import { GroupNames } from './containers/group-names.js';
import { Selector } from './containers/selector.js';
import { ContainerTable } from './containers/table.js';
import type { Group } from './gadget/held-back.js';
import { HeldBackWatch } from './held-back.js';

/** Numbers that no cgroup of this machine has. */
const WEB = 2 ** 50;
const GONE = 2 ** 51;
const MNTNS = 4_000_000_000;

const WEB_CONTAINER: Container = {
  key: 'web',
  id: 'web',
  name: 'web',
  runtime: 'docker',
  pid: 4242,
  mntns: MNTNS,
  cgroupId: WEB,
  imageName: '',
  imageDigest: '',
  imageId: '',
  startedAt: '',
  bundle: '',
};

describe('what --fair holds back', () => {
  let table: ContainerTable;
  let byGroup: Map<Group, number>;
  let warnings: string[];
  let watch: HeldBackWatch;

  beforeEach(() => {
    vi.useFakeTimers();
    table = new ContainerTable(new Selector());
    byGroup = new Map();
    warnings = [];
    const warn = (sentence: string): void => void warnings.push(sentence);
    watch = new HeldBackWatch({ read: () => ({ byGroup, others: 7 }) }, new GroupNames(table), warn);
  });
  afterEach(() => {
    watch.finish();
    vi.useRealTimers();
  });

  it('is told of each workload once, with the name that it has then', () => {
    table.add(WEB_CONTAINER);
    byGroup.set(`cgroup ${WEB}`, 1);
    vi.advanceTimersByTime(1000);
    byGroup.set(`mntns ${MNTNS}`, 1).set(`cgroup ${GONE}`, 1);
    vi.advanceTimersByTime(2000);
    expect(warnings).toEqual([
      '--fair holds back events of container web, as they exceed its share of the buffer.',
      `--fair holds back events of cgroup ${GONE} (gone), as they exceed its share of the buffer.`,
    ]);
  });

  it('is told of ten workloads at most', () => {
    for (let i = 0; i < 20; i++) byGroup.set(`cgroup ${GONE + i}`, 1);
    vi.advanceTimersByTime(1000);
    expect(warnings).toHaveLength(10);
  });

  it('is counted in the end by name, most first', () => {
    byGroup.set(`cgroup ${GONE}`, 9).set(`cgroup ${WEB}`, 5);
    vi.advanceTimersByTime(1000);
    byGroup.set(`mntns ${MNTNS}`, 6);
    // Its engine was late.
    table.add(WEB_CONTAINER);
    expect(watch.finish()).toEqual([
      { who: 'container web', count: 11 },
      { who: `cgroup ${GONE} (gone)`, count: 9 },
      { who: undefined, count: 7 },
    ]);
  });
});
