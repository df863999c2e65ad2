// Counts executions per container, and reports every few seconds.

import { Level, NewSource, Source, fail, log, logs, onFinish, onInit, onTick, param } from 'ig';

const MAX_NAMESPACES = 1024;

const exec = new Source('exec');
const mntns = exec.u64('proc.mntns_id');
const container = exec.text('runtime.containerName').optional();

const counts = new NewSource('exec_counts');
const countedMntns = counts.addU64('mntns_id');
countedMntns.describe('Mount namespace of the container');
countedMntns.tag('type:gadget_mntns_id');
const countedContainer = counts.addText('container');
const countedExecs = counts.addU64('count');

/** Where each namespace has its count; the one after all is for those that are too many. */
const slots = new Map<u64, i32>();
const ids = new StaticArray<u64>(MAX_NAMESPACES + 1);
const names = new StaticArray<string>(MAX_NAMESPACES + 1);
const named = new StaticArray<bool>(MAX_NAMESPACES + 1);
const execs = new StaticArray<u64>(MAX_NAMESPACES + 1);

onInit(() => {
  const text = param('interval');
  const seconds = text.length == 0 ? 1 : wholeNumber(text);
  if (seconds < 1 || seconds > 3600) {
    fail(`parameter interval is ${text}: it must be a number of seconds from 1 to 3600`);
  }
  onTick(<u32>seconds * 1000, () => report());
});
onFinish(() => report());

exec.onEvent(() => {
  const slot = slotOf(mntns.value);
  execs[slot]++;
  if (slot < MAX_NAMESPACES && container.defined) {
    const name = container.read();
    // Made into a string only when it is another one than before.
    if (!named[slot] || !name.equals(names[slot])) names[slot] = name.toString();
    named[slot] = true;
  }
  return true;
});

function slotOf(id: u64): i32 {
  if (slots.has(id)) return slots.get(id);
  const slot = slots.size;
  if (slot == MAX_NAMESPACES) return slot;
  slots.set(id, slot);
  ids[slot] = id;
  return slot;
}

function report(): void {
  const count = slots.size + (execs[MAX_NAMESPACES] > 0 ? 1 : 0);
  for (let i = 0; i < count; i++) {
    countedMntns.value = ids[i];
    if (named[i]) countedContainer.text(names[i]);
    countedExecs.value = execs[i];
    counts.emit();
    execs[i] = 0;
    named[i] = false;
  }
  slots.clear();
  if (count > 0 && logs(Level.DEBUG)) log(Level.DEBUG, `reported ${count} containers`);
}

/** Of decimal digits, at most nine; else -1. */
function wholeNumber(text: string): i32 {
  if (text.length == 0 || text.length > 9) return -1;
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) < 0x30 || text.charCodeAt(i) > 0x39) return -1;
  }
  return I32.parseInt(text);
}
