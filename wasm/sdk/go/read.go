package ig

import (
	"bytes"
	"iter"
	"unsafe"
)

// reader finds a field's value in the current event.
type reader struct {
	source *Source
	field  *field // nil = there is none
	column *readColumn
	// The value always stands at offset in the record.
	plain  bool
	offset uint32
}

// readColumn is a column of the current batch.
type readColumn struct {
	field uint32
	width uint32 // of an event's values; 0 = they differ
	// Of all events; nil = no event has one.
	values []byte
	// Where each text starts in values, and where the last one ends; width 0 only.
	offsets []byte
	// One byte per event; nil = every event has a value.
	defined []byte
}

// noRow stands for the number of the current event when there is none.
const noRow = ^uint32(0)

// Exists tells whether there is such a field; one that is not optional always is.
func (r *reader) Exists() bool { return r.field != nil }

// locate finds the current event's value and its size; nil if it has none.
func (r *reader) locate() (unsafe.Pointer, uint32) {
	f := r.field
	if f == nil {
		return nil, 0
	}
	if f.place == placeColumn {
		return r.column.locate(r.source.row)
	}
	at := unsafe.Add(r.source.record, f.offset)
	if f.place == placeTail {
		// The kernel side wrote these: nothing is certain.
		start, size := *(*uint32)(at), *(*uint32)(unsafe.Add(at, 4))
		if start == 0 || uint64(start)+uint64(size) > uint64(r.source.recordSize) || size < f.width() {
			return nil, 0
		}
		return unsafe.Add(r.source.record, start), size
	}
	if f.marked && isMarker(unsafe.Slice((*byte)(at), f.size), f.marker) {
		return nil, 0
	}
	return at, f.size
}

func (c *readColumn) locate(row uint32) (unsafe.Pointer, uint32) {
	if c.values == nil || row == noRow || (c.defined != nil && c.defined[row] == 0) {
		return nil, 0
	}
	start, end := row*c.width, (row+1)*c.width
	if c.width == 0 {
		start, end = get32(c.offsets, 4*row), get32(c.offsets, 4*row+4)
	}
	value := c.values[start:end]
	return unsafe.Pointer(unsafe.SliceData(value)), uint32(len(value))
}

// bytes is a view of the current event's value; nil if it has none.
func (r *reader) bytes() []byte {
	at, size := r.locate()
	if at == nil {
		return nil
	}
	return unsafe.Slice((*byte)(at), size)
}

// isMarker tells whether bytes are the little-endian form of a number.
func isMarker(value []byte, marker uint64) bool {
	for _, b := range value {
		if b != byte(marker) {
			return false
		}
		marker >>= 8
	}
	return true
}

// NumberField is a field with one number.
type NumberField[T Numeric] struct{ reader }

// Get is the current event's value, and whether it has one.
func (f *NumberField[T]) Get() (T, bool) {
	if f.plain {
		return *(*T)(unsafe.Add(f.source.record, f.offset)), true
	}
	return f.find()
}

// Value is the current event's value; 0 if it has none.
func (f *NumberField[T]) Value() T {
	if f.plain {
		return *(*T)(unsafe.Add(f.source.record, f.offset))
	}
	value, _ := f.find()
	return value
}

// find is Get where the value does not simply stand in the record. Apart from it, so that Get and Value are inlined.
func (f *NumberField[T]) find() (T, bool) {
	at, _ := f.locate()
	if at == nil {
		return 0, false
	}
	return *(*T)(at), true
}

// BoolField is a field that is true or false.
type BoolField struct{ reader }

// Get is the current event's value, and whether it has one.
func (f *BoolField) Get() (value, defined bool) {
	at, _ := f.locate()
	return at != nil && *(*byte)(at) != 0, at != nil
}

// Value is the current event's value; false if it has none.
func (f *BoolField) Value() bool {
	value, _ := f.Get()
	return value
}

// ArrayField is a field with several numbers.
type ArrayField[T Numeric] struct{ reader }

// Len is how many numbers every value has.
func (f *ArrayField[T]) Len() int {
	if f.field == nil {
		return 0
	}
	return int(f.field.length)
}

// Get is a view of the current event's numbers, over when the handler returns, and whether there are any.
func (f *ArrayField[T]) Get() ([]T, bool) {
	at, _ := f.locate()
	if at == nil {
		return nil, false
	}
	return unsafe.Slice((*T)(at), f.field.length), true
}

// Value is a view of the current event's numbers, over when the handler returns; nil if there are none.
func (f *ArrayField[T]) Value() []T {
	value, _ := f.Get()
	return value
}

// TextField is a field with text or bytes.
type TextField struct{ reader }

// Get is a view of the current event's value, over when the handler returns, and whether it has one.
func (f *TextField) Get() ([]byte, bool) {
	value := f.bytes()
	if value != nil && f.field.kind == kindCstring {
		if end := bytes.IndexByte(value, 0); end >= 0 {
			value = value[:end]
		}
	}
	return value, value != nil
}

// Value is a view of the current event's value, over when the handler returns; nil if it has none.
func (f *TextField) Value() []byte {
	value, _ := f.Get()
	return value
}

// String is a copy of the current event's value, to keep; empty if it has none.
func (f *TextField) String() string { return string(f.Value()) }

// TextListField is a field with a list of texts, such as the arguments of a program.
type TextListField struct{ reader }

// Get is a view of the current event's list, over when the handler returns, and whether it has one.
func (f *TextListField) Get() (TextList, bool) {
	value := f.bytes()
	return value, value != nil
}

// Value is a view of the current event's list, over when the handler returns; nil if it has none.
func (f *TextListField) Value() TextList { return f.bytes() }

// TextList is texts one after the other, each ended by a NUL byte.
type TextList []byte

// All goes over the texts, without their NUL. One at the end that was cut off counts.
func (l TextList) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for rest := []byte(l); len(rest) > 0; {
			text := rest
			if end := bytes.IndexByte(rest, 0); end >= 0 {
				text, rest = rest[:end], rest[end+1:]
			} else {
				rest = nil
			}
			if !yield(text) {
				return
			}
		}
	}
}
