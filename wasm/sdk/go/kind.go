package ig

import "strconv"

// kind is `enum kind` of wasm/wit/post-processor.wit.
type kind uint8

const (
	kindNone kind = iota
	kindBool
	kindS8
	kindS16
	kindS32
	kindS64
	kindU8
	kindU16
	kindU32
	kindU64
	kindF32
	kindF64
	kindText
	kindCstring
	kindBytes
	kindTextList
)

var kindNames = [...]string{
	"none", "boolean", "s8", "s16", "s32", "s64", "u8", "u16", "u32", "u64", "f32", "f64",
	"text", "cstring", "bytes", "text-list",
}

func (k kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// width is the size of a value in bytes; 0 if they differ.
func (k kind) width() uint32 {
	switch k {
	case kindBool, kindS8, kindU8:
		return 1
	case kindS16, kindU16:
		return 2
	case kindS32, kindU32, kindF32:
		return 4
	case kindS64, kindU64, kindF64:
		return 8
	}
	return 0
}

// Numeric is every type that a field of numbers can have.
type Numeric interface {
	int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | float32 | float64
}

func kindOf[T Numeric]() kind {
	var zero T
	switch any(zero).(type) {
	case int8:
		return kindS8
	case int16:
		return kindS16
	case int32:
		return kindS32
	case int64:
		return kindS64
	case uint8:
		return kindU8
	case uint16:
		return kindU16
	case uint32:
		return kindU32
	case uint64:
		return kindU64
	case float32:
		return kindF32
	}
	return kindF64
}
