// Package ig declares what the tests' Go module uses of the peer's Wasm API.
package ig

import (
	"runtime"
	"unsafe"
)

const (
	KindUint32 = 8
	KindString = 12

	Single = 1
	Array  = 2

	SubscribeData = 1
)

//go:wasmimport ig newDataSource
func newDataSource(name uint64, kind uint32) uint32

//go:wasmimport ig getDataSource
func getDataSource(name uint64) uint32

//go:wasmimport ig dataSourceSubscribe
func dataSourceSubscribe(source uint32, kind uint32, priority int32, callback uint64) uint32

//go:wasmimport ig dataSourceGetField
func dataSourceGetField(source uint32, name uint64) uint32

//go:wasmimport ig dataSourceAddField
func dataSourceAddField(source uint32, name uint64, kind uint32) uint32

//go:wasmimport ig dataSourceNewPacketArray
func dataSourceNewPacketArray(source uint32) uint32

//go:wasmimport ig dataArrayNew
func dataArrayNew(array uint32) uint32

//go:wasmimport ig dataArrayAppend
func dataArrayAppend(array uint32, data uint32) uint32

//go:wasmimport ig dataSourceEmitAndRelease
func dataSourceEmitAndRelease(source uint32, packet uint32) uint32

//go:wasmimport ig fieldGetScalar
func fieldGetScalar(field uint32, data uint32, kind uint32, err uint32) uint64

//go:wasmimport ig fieldGetBuffer
func fieldGetBuffer(field uint32, data uint32, kind uint32, dst uint64) int32

//go:wasmimport ig fieldSet
func fieldSet(field uint32, data uint32, kind uint32, value uint64) uint32

//go:wasmimport ig getParamValue
func getParamValue(key uint64, dst uint64) uint32

//go:wasmimport ig getMap
func getMap(name uint64) uint32

//go:wasmimport ig mapUpdate
func mapUpdate(m uint32, key uint64, value uint64, flags uint64) uint32

//go:wasmimport ig mapLookup
func mapLookup(m uint32, key uint64, value uint64) uint32

//go:wasmimport ig gadgetLog
func gadgetLog(level uint32, message uint64)

func text(s string) uint64 {
	return uint64(len(s))<<32 | uint64(uintptr(unsafe.Pointer(unsafe.StringData(s))))
}

func buffer(b []byte) uint64 {
	return uint64(len(b))<<32 | uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
}

// Must stops the module when there is no handle.
func must(handle uint32, what string) uint32 {
	if handle == 0 {
		panic(what)
	}
	return handle
}

func check(err uint32, what string) {
	if err != 0 {
		panic(what)
	}
}

type (
	Source uint32
	Field  uint32
	Data   uint32
	Map    uint32
)

func NewArraySource(name string) Source {
	defer runtime.KeepAlive(name)
	return Source(must(newDataSource(text(name), Array), name))
}

func GetSource(name string) Source {
	defer runtime.KeepAlive(name)
	return Source(must(getDataSource(text(name)), name))
}

func (s Source) Field(name string) Field {
	defer runtime.KeepAlive(name)
	return Field(must(dataSourceGetField(uint32(s), text(name)), name))
}

func (s Source) Add(name string, kind uint32) Field {
	defer runtime.KeepAlive(name)
	return Field(must(dataSourceAddField(uint32(s), text(name), kind), name))
}

var callbacks []func(Data)

func (s Source) Subscribe(callback func(Data)) {
	callbacks = append(callbacks, callback)
	check(dataSourceSubscribe(uint32(s), SubscribeData, 0, uint64(len(callbacks)-1)), "subscribe")
}

//go:wasmexport dataSourceCallback
func dataSourceCallback(callback uint64, source uint32, data uint32) {
	callbacks[callback](Data(data))
}

//go:wasmexport gadgetAPIVersion
func gadgetAPIVersion() uint64 {
	return 1
}

func (f Field) Uint32(data Data) uint32 {
	var err uint32
	value := fieldGetScalar(uint32(f), uint32(data), KindUint32, uint32(uintptr(unsafe.Pointer(&err))))
	check(err, "fieldGetScalar")
	return uint32(value)
}

func (f Field) String(data Data) string {
	var bytes [256]byte
	n := fieldGetBuffer(uint32(f), uint32(data), KindString, buffer(bytes[:]))
	if n < 0 {
		panic("fieldGetBuffer")
	}
	return string(bytes[:n])
}

func (f Field) SetUint32(data Data, value uint32) {
	check(fieldSet(uint32(f), uint32(data), KindUint32, uint64(value)), "fieldSet")
}

func (f Field) SetString(data Data, value string) {
	defer runtime.KeepAlive(value)
	check(fieldSet(uint32(f), uint32(data), KindString, text(value)), "fieldSet")
}

// EmitArray emits n elements that fill fills.
func (s Source) EmitArray(n int, fill func(i int, data Data)) {
	array := must(dataSourceNewPacketArray(uint32(s)), "packet")
	for i := range n {
		element := must(dataArrayNew(array), "element")
		fill(i, Data(element))
		check(dataArrayAppend(array, element), "append")
	}
	check(dataSourceEmitAndRelease(uint32(s), array), "emit")
}

func GetMap(name string) Map {
	defer runtime.KeepAlive(name)
	return Map(must(getMap(text(name)), name))
}

func (m Map) Put(key uint32, value uint32) {
	k, v := bytesOf(key), bytesOf(value)
	check(mapUpdate(uint32(m), buffer(k), buffer(v), 0), "mapUpdate")
}

func (m Map) Get(key uint32) (value uint32, found bool) {
	k, v := bytesOf(key), make([]byte, 4)
	found = mapLookup(uint32(m), buffer(k), buffer(v)) == 0
	return uint32(v[0]) | uint32(v[1])<<8 | uint32(v[2])<<16 | uint32(v[3])<<24, found
}

func bytesOf(n uint32) []byte {
	return []byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}
}

// Param returns the value of a parameter, or "" when there is none.
func Param(key string) string {
	defer runtime.KeepAlive(key)
	var bytes [64]byte
	if getParamValue(text(key), buffer(bytes[:])) != 0 {
		return ""
	}
	n := 0
	for n < len(bytes) && bytes[n] != 0 {
		n++
	}
	return string(bytes[:n])
}

func Info(message string) {
	defer runtime.KeepAlive(message)
	gadgetLog(2, text(message))
}
