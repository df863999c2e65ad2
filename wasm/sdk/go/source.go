package ig

import (
	"strconv"
	"unsafe"
)

// place is `enum place` of wasm/wit/post-processor.wit.
type place uint8

const (
	placeFixed place = iota
	placeTail
	placeColumn
)

// field is what the host says of a field.
type field struct {
	name         string
	kind         kind
	length       uint32
	place        place
	offset, size uint32
	// The raw bytes, as a little-endian number, that mean "no value"; if marked.
	marker uint64
	marked bool
}

// Source is a data source: its fields are read, and others added to it.
type Source struct {
	fieldSet
	name    string
	fields  []field
	handler func() bool
	// Columns of the batches, in the order of the plan's reads.
	reads []*readColumn

	// The current event's record and its size; between events, zeros as long as any record.
	record     unsafe.Pointer
	recordSize uint32
	zeros      []byte
}

// read is a field of place column that batches are to have.
type read struct{ source, field uint32 }

// Name is the name of the data source.
func (s *Source) Name() string { return s.name }

// OnEvent has handler called for every event that is still there. It returns false to drop the event.
func (s *Source) OnEvent(handler func() bool) {
	requireMain("Source.OnEvent")
	if s.handler != nil {
		Fail("OnEvent was called twice for data source " + s.name)
	}
	s.handler = handler
}

// Option says how a field is looked up.
type Option int

// Optional is for a field that need not exist: it then has no value.
const Optional Option = 1

// A field of the source, by the type it is read as. Without that field, or with one of another kind, the run ends with
// a sentence that says so.

func (s *Source) Bool(name string, options ...Option) *BoolField {
	return &BoolField{s.find(name, "boolean", 1, options, func(k kind) bool { return k == kindBool })}
}

func (s *Source) Int8(name string, options ...Option) *NumberField[int8] {
	return number[int8](s, name, options)
}

func (s *Source) Int16(name string, options ...Option) *NumberField[int16] {
	return number[int16](s, name, options)
}

func (s *Source) Int32(name string, options ...Option) *NumberField[int32] {
	return number[int32](s, name, options)
}

func (s *Source) Int64(name string, options ...Option) *NumberField[int64] {
	return number[int64](s, name, options)
}

func (s *Source) Uint8(name string, options ...Option) *NumberField[uint8] {
	return number[uint8](s, name, options)
}

func (s *Source) Uint16(name string, options ...Option) *NumberField[uint16] {
	return number[uint16](s, name, options)
}

func (s *Source) Uint32(name string, options ...Option) *NumberField[uint32] {
	return number[uint32](s, name, options)
}

func (s *Source) Uint64(name string, options ...Option) *NumberField[uint64] {
	return number[uint64](s, name, options)
}

func (s *Source) Float32(name string, options ...Option) *NumberField[float32] {
	return number[float32](s, name, options)
}

func (s *Source) Float64(name string, options ...Option) *NumberField[float64] {
	return number[float64](s, name, options)
}

// Text is for text, and for char arrays of C, which end at their first NUL.
func (s *Source) Text(name string, options ...Option) *TextField {
	return &TextField{s.find(name, "text", 1, options, func(k kind) bool { return k == kindText || k == kindCstring })}
}

func (s *Source) Bytes(name string, options ...Option) *TextField {
	return &TextField{s.find(name, "bytes", 1, options, func(k kind) bool { return k == kindBytes })}
}

func (s *Source) TextList(name string, options ...Option) *TextListField {
	return &TextListField{s.find(name, "text-list", 1, options, func(k kind) bool { return k == kindTextList })}
}

// Array is for a field of several numbers of one type.
func Array[T Numeric](s *Source, name string, options ...Option) *ArrayField[T] {
	k := kindOf[T]()
	return &ArrayField[T]{s.find(name, "an array of "+k.String(), 0, options, func(other kind) bool { return other == k })}
}

func number[T Numeric](s *Source, name string, options []Option) *NumberField[T] {
	k := kindOf[T]()
	return &NumberField[T]{s.find(name, k.String(), 1, options, func(other kind) bool { return other == k })}
}

// find looks a field up that is to have so many values (0 = any number of them), and is to be read as `wanted`.
func (s *Source) find(name, wanted string, length uint32, options []Option, accepts func(kind) bool) reader {
	if !requireMain("GetSource") {
		return reader{source: s}
	}
	for i := range s.fields {
		f := &s.fields[i]
		if f.name != name {
			continue
		}
		if !accepts(f.kind) || (length != 0 && f.length != length) {
			is := f.kind.String()
			if f.length > 1 {
				is = "an array of " + strconv.Itoa(int(f.length)) + " " + is
			}
			Fail("field " + name + " of data source " + s.name + " is " + is + ", but the module reads it as " + wanted)
		}
		r := reader{source: s, field: f, plain: f.place == placeFixed && !f.marked, offset: f.offset}
		if f.place == placeColumn {
			r.column = s.columnOf(uint32(i))
		}
		return r
	}
	if len(options) == 0 {
		Fail("field " + name + " of data source " + s.name + " does not exist, but the module needs it")
	}
	return reader{source: s}
}

// columnOf is the column of a field of that place, declared to be read with its first use.
func (s *Source) columnOf(index uint32) *readColumn {
	for _, c := range s.reads {
		if c.field == index {
			return c
		}
	}
	c := &readColumn{field: index, width: s.fields[index].width()}
	s.reads = append(s.reads, c)
	reads = append(reads, read{s.id, index})
	return c
}

// width is the size in bytes of an event's values; 0 if they differ.
func (f *field) width() uint32 { return f.kind.width() * f.length }
