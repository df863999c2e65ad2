// Reads, adds, replaces and emits every kind of field: wasm/sdk/conformance.test.ts tests the SDK with it.

import { NewSource, Source, fail, log, onFinish, onTick, param } from 'ig';

const reason = param('fail-init');
if (reason !== '') fail(reason);

const all = new Source('all');
const inputs = {
  b: all.bool('b'),
  s8: all.s8('s8'),
  s16: all.s16('s16'),
  s32: all.s32('s32'),
  s64: all.s64('s64'),
  u8: all.u8('u8'),
  u16: all.u16('u16'),
  u32: all.u32('u32'),
  u64: all.u64('u64'),
  f32: all.f32('f32'),
  f64: all.f64('f64'),
  c: all.text('c'),
  t: all.text('t'),
  y: all.bytes('y'),
  l: all.list('l'),
  a: all.u32('a'),
  m: all.u32('m'),
  x: all.text('x'),
  n: all.s64('n'),
};
const missing = all.u32('missing', { optional: true });

const outputs = {
  b: all.addBool('out.b'),
  s8: all.addS8('out.s8'),
  s16: all.addS16('out.s16'),
  s32: all.addS32('out.s32'),
  s64: all.addS64('out.s64'),
  u8: all.addU8('out.u8'),
  u16: all.addU16('out.u16'),
  u32: all.addU32('out.u32'),
  u64: all.addU64('out.u64'),
  f32: all.addF32('out.f32'),
  f64: all.addF64('out.f64'),
  c: all.addText('out.c'),
  t: all.addText('out.t'),
  y: all.addBytes('out.y'),
  l: all.addList('out.l'),
  a: all.addU32('out.a', { length: 4 }),
  m: all.addU32('out.m'),
  x: all.addText('out.x'),
  n: all.addS64('out.n'),
};
const exists = all.addBool('out.exists');
const u16 = all.addU16('u16');

const alerts = new NewSource('alerts');
const alert = {
  text: alerts.addText('text'),
  u64: alerts.addU64('u64'),
  flag: alerts.addBool('flag'),
  list: alerts.addList('list'),
  a: alerts.addU32('a', { length: 4 }),
  never: alerts.addU8('never'),
};

all.onEvent(() => {
  if (inputs.u8.value === 13) fail('told to fail');
  if (inputs.u8.value === 255) return false;

  copyNumbers();
  if (inputs.c.defined) outputs.c.value = inputs.c.bytes;
  if (inputs.t.defined) outputs.t.value = inputs.t.bytes;
  if (inputs.y.defined) outputs.y.value = inputs.y.bytes;
  if (inputs.l.defined) outputs.l.value = inputs.l.values;
  if (inputs.a.defined) outputs.a.values = inputs.a.values;
  if (inputs.x.defined) outputs.x.value = inputs.x.bytes;
  exists.value = missing.exists;
  u16.value = inputs.u16.value + 1;

  if (inputs.u8.value === 7) log.debug?.(`row ${inputs.u32.value}`);
  if (inputs.u8.value === 42) raise();
  return true;
});

onTick(100, (now) => {
  alert.text.value = `tick ${now}`;
  alerts.emit();
});

onFinish(() => {
  alert.text.value = 'end';
  alerts.emit();
  log.info?.('bye');
});

function copyNumbers(): void {
  if (inputs.b.defined) outputs.b.value = inputs.b.value;
  if (inputs.s8.defined) outputs.s8.value = inputs.s8.value;
  if (inputs.s16.defined) outputs.s16.value = inputs.s16.value;
  if (inputs.s32.defined) outputs.s32.value = inputs.s32.value;
  if (inputs.s64.defined) outputs.s64.value = inputs.s64.value;
  if (inputs.u8.defined) outputs.u8.value = inputs.u8.value;
  if (inputs.u16.defined) outputs.u16.value = inputs.u16.value;
  if (inputs.u32.defined) outputs.u32.value = inputs.u32.value;
  if (inputs.u64.defined) outputs.u64.value = inputs.u64.value;
  if (inputs.f32.defined) outputs.f32.value = inputs.f32.value;
  if (inputs.f64.defined) outputs.f64.value = inputs.f64.value;
  if (inputs.m.defined) outputs.m.value = inputs.m.value;
  if (inputs.n.defined) outputs.n.value = inputs.n.value;
}

function raise(): void {
  if (inputs.t.defined) alert.text.value = inputs.t.bytes;
  if (inputs.u64.defined) alert.u64.value = inputs.u64.value;
  if (inputs.b.defined) alert.flag.value = inputs.b.value;
  if (inputs.l.defined) alert.list.value = inputs.l.values;
  if (inputs.a.defined) alert.a.values = inputs.a.values;
  alerts.emit();
}
