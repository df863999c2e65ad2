// Uses every part of the SDK: the program of this language for the conformance suite of all SDKs.
package main

import (
	"strconv"

	"ig"
)

func main() {
	if sentence := ig.Param("fail-init"); sentence != "" {
		ig.Fail(sentence)
	}
	all := ig.GetSource("all")
	u8, u16, u32, u64 := all.Uint8("u8"), all.Uint16("u16"), all.Uint32("u32"), all.Uint64("u64")
	b, t, l, a := all.Bool("b"), all.Text("t"), all.TextList("l"), ig.Array[uint32](all, "a")
	missing := all.Uint32("missing", ig.Optional)

	copies := []func(){
		copyBool(b, all.AddBool("out.b")),
		copyNumber(all.Int8("s8"), all.AddInt8("out.s8")),
		copyNumber(all.Int16("s16"), all.AddInt16("out.s16")),
		copyNumber(all.Int32("s32"), all.AddInt32("out.s32")),
		copyNumber(all.Int64("s64"), all.AddInt64("out.s64")),
		copyNumber(u8, all.AddUint8("out.u8")),
		copyNumber(u16, all.AddUint16("out.u16")),
		copyNumber(u32, all.AddUint32("out.u32")),
		copyNumber(u64, all.AddUint64("out.u64")),
		copyNumber(all.Float32("f32"), all.AddFloat32("out.f32")),
		copyNumber(all.Float64("f64"), all.AddFloat64("out.f64")),
		copyText(all.Text("c"), all.AddText("out.c")),
		copyText(t, all.AddText("out.t")),
		copyText(all.Bytes("y"), all.AddBytes("out.y")),
		copyList(l, all.AddTextList("out.l")),
		copyArray(a, ig.AddArray[uint32](all, "out.a", 4)),
		copyNumber(all.Uint32("m"), all.AddUint32("out.m")),
		copyText(all.Text("x"), all.AddText("out.x")),
		copyNumber(all.Int64("n"), all.AddInt64("out.n")),
	}
	exists := all.AddBool("out.exists")
	next := all.AddUint16("u16")

	alerts := ig.MakeSource("alerts")
	text := alerts.AddText("text")
	copyAlert := []func(){
		copyText(t, text),
		copyNumber(u64, alerts.AddUint64("u64")),
		copyBool(b, alerts.AddBool("flag")),
		copyList(l, alerts.AddTextList("list")),
		copyArray(a, ig.AddArray[uint32](alerts, "a", 4)),
	}
	alerts.AddUint8("never")

	all.OnEvent(func() bool {
		switch u8.Value() {
		case 13:
			ig.Fail("told to fail")
		case 255:
			return false
		}
		for _, copyField := range copies {
			copyField()
		}
		exists.Set(missing.Exists())
		next.Set(u16.Value() + 1)
		switch u8.Value() {
		case 7:
			if ig.Enabled(ig.LevelDebug) {
				ig.Debug("row " + strconv.FormatUint(uint64(u32.Value()), 10))
			}
		case 42:
			for _, copyField := range copyAlert {
				copyField()
			}
			alerts.Emit()
		}
		return true
	})
	ig.OnTick(100, func(now uint64) {
		text.WriteString("tick ")
		text.WriteUint(now)
		alerts.Emit()
	})
	ig.OnFinish(func() {
		text.SetString("end")
		alerts.Emit()
		ig.Info("bye")
	})
}

func copyNumber[T ig.Numeric](from *ig.NumberField[T], to *ig.NumberColumn[T]) func() {
	return func() {
		if value, ok := from.Get(); ok {
			to.Set(value)
		}
	}
}

func copyBool(from *ig.BoolField, to *ig.BoolColumn) func() {
	return func() {
		if value, ok := from.Get(); ok {
			to.Set(value)
		}
	}
}

func copyArray(from *ig.ArrayField[uint32], to *ig.ArrayColumn[uint32]) func() {
	return func() {
		if value, ok := from.Get(); ok {
			to.Set(value)
		}
	}
}

func copyText(from *ig.TextField, to *ig.TextColumn) func() {
	return func() {
		if value, ok := from.Get(); ok {
			to.Set(value)
		}
	}
}

func copyList(from *ig.TextListField, to *ig.TextListColumn) func() {
	return func() {
		if value, ok := from.Get(); ok {
			to.Set(value)
		}
	}
}
