// Uses all of the SDK, as the conformance suite wants it of every language; see wasm/sdk/conformance.test.ts.

import { BytesColumn, BytesField, Level, NewSource, NumberColumn, NumberField, Source } from 'ig';
import { fail, log, logs, onFinish, onInit, onTick, param } from 'ig';

const all = new Source('all');
const b_ = all.bool('b');
const s8_ = all.s8('s8');
const s16_ = all.s16('s16');
const s32_ = all.s32('s32');
const s64_ = all.s64('s64');
const u8_ = all.u8('u8');
const u16_ = all.u16('u16');
const u32_ = all.u32('u32');
const u64_ = all.u64('u64');
const f32_ = all.f32('f32');
const f64_ = all.f64('f64');
const c = all.text('c');
const t = all.text('t');
const y = all.bytes('y');
const l = all.list('l');
const a = all.array<u32>('a');
const m = all.u32('m');
const x = all.text('x');
const n = all.s64('n');
const missing = all.u32('missing').optional();

const out_b = all.addBool('out.b');
const out_s8 = all.addS8('out.s8');
const out_s16 = all.addS16('out.s16');
const out_s32 = all.addS32('out.s32');
const out_s64 = all.addS64('out.s64');
const out_u8 = all.addU8('out.u8');
const out_u16 = all.addU16('out.u16');
const out_u32 = all.addU32('out.u32');
const out_u64 = all.addU64('out.u64');
const out_f32 = all.addF32('out.f32');
const out_f64 = all.addF64('out.f64');
const out_c = all.addText('out.c');
const out_t = all.addText('out.t');
const out_y = all.addBytes('out.y');
const out_l = all.addStrings('out.l');
const out_a = all.addArray<u32>('out.a', 4);
const out_m = all.addU32('out.m');
const out_x = all.addText('out.x');
const out_n = all.addS64('out.n');
const out_exists = all.addBool('out.exists');
const newU16 = all.addU16('u16');

const alerts = new NewSource('alerts');
const alertText = alerts.addText('text');
const alertU64 = alerts.addU64('u64');
const alertFlag = alerts.addBool('flag');
const alertList = alerts.addStrings('list');
const alertA = alerts.addArray<u32>('a', 4);
alerts.addU8('never');

onInit(() => {
  const reason = param('fail-init');
  if (reason.length > 0) fail(reason);
});

onTick(100, (now) => {
  alertText.text('tick ');
  alertText.unsigned(now);
  alerts.emit();
});

onFinish(() => {
  alertText.text('end');
  alerts.emit();
  log(Level.INFO, 'bye');
});

all.onEvent(() => {
  if (u8_.value == 13) fail('told to fail');
  if (u8_.value == 255) return false;

  copy(out_b, b_);
  copy(out_s8, s8_);
  copy(out_s16, s16_);
  copy(out_s32, s32_);
  copy(out_s64, s64_);
  copy(out_u8, u8_);
  copy(out_u16, u16_);
  copy(out_u32, u32_);
  copy(out_u64, u64_);
  copy(out_f32, f32_);
  copy(out_f64, f64_);
  copyBytes(out_c, c);
  copyBytes(out_t, t);
  copyBytes(out_y, y);
  copyList(out_l);
  for (let i: u32 = 0; i < a.length; i++) out_a[i] = a[i];
  copy(out_m, m);
  copyBytes(out_x, x);
  copy(out_n, n);
  out_exists.value = missing.exists;
  newU16.value = u16_.value + 1;
  if (u8_.value == 7 && logs(Level.DEBUG)) log(Level.DEBUG, `row ${u32_.value}`);
  if (u8_.value == 42) alert();
  return true;
});

function alert(): void {
  copyBytes(alertText, t);
  alertU64.value = u64_.value;
  alertFlag.value = b_.value;
  copyList(alertList);
  for (let i: u32 = 0; i < a.length; i++) alertA[i] = a[i];
  alerts.emit();
}

function copy<T extends number>(to: NumberColumn<T>, from: NumberField<T>): void {
  if (from.defined) to.value = from.value;
}

function copyBytes(to: BytesColumn, from: BytesField): void {
  if (from.defined) to.bytes(from.read());
}

function copyList(to: BytesColumn): void {
  if (!l.defined) return;
  to.text(''); // an empty list is one, too
  for (l.rewind(); l.next(); ) to.item(l.current);
}
