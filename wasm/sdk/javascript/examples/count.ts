// Counts events by container, and reports them in a data source of its own.

import { NewSource, Source, fail, log, onFinish, onTick, param } from 'ig';

/** Most namespaces between two reports; more are counted together, under number 0. */
const MAX_COUNTS = 1024;

interface Count {
  events: bigint;
  container: string | undefined;
}

const interval = param('interval') || '1';
const seconds = /^\d{1,4}$/.test(interval) ? Number(interval) : 0;
if (seconds < 1 || seconds > 3600) {
  fail(`parameter interval is ${interval}: it must be a number of seconds from 1 to 3600`);
}

const exec = new Source('exec');
const mntns = exec.u64('proc.mntns_id');
const container = exec.text('runtime.containerName', { optional: true });

const report = new NewSource('exec_counts');
const reportedMntns = report.addU64('mntns_id', {
  description: 'Mount namespace of the container',
  tags: ['type:gadget_mntns_id'],
});
const reportedContainer = report.addText('container');
const reportedCount = report.addU64('count');

const counts = new Map<bigint, Count>();

exec.onEvent(() => {
  const id = mntns.value;
  const known = counts.get(id);
  if (known === undefined && counts.size >= MAX_COUNTS) {
    countOf(0n).events++;
    return;
  }
  const count = known ?? countOf(id);
  count.events++;
  if (container.defined) count.container = container.text;
});

onTick(seconds * 1000, emitCounts);
onFinish(emitCounts);

function countOf(id: bigint): Count {
  const known = counts.get(id);
  if (known !== undefined) return known;
  const count: Count = { events: 0n, container: undefined };
  counts.set(id, count);
  return count;
}

function emitCounts(): void {
  if (counts.size === 0) return;
  for (const [id, { events, container: name }] of counts) {
    reportedMntns.value = id;
    if (name !== undefined) reportedContainer.value = name;
    reportedCount.value = events;
    report.emit();
  }
  log.debug?.(`reported ${counts.size} containers`);
  counts.clear();
}
