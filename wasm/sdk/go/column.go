package ig

import (
	"strconv"
	"unsafe"
)

// newField is what the plan says of a field that the module makes.
type newField struct {
	name        string
	kind        kind
	length      uint32
	tags        []string
	annotations [][2]string
}

// Note is something said of a new field, for outputs and other operators.
type Note func(*newField)

// Description says what a field is.
func Description(text string) Note { return Annotation("description", text) }

// Annotation is one as in gadget.yaml: columns.width, value.undefined, …
func Annotation(key, value string) Note {
	return func(f *newField) { f.annotations = append(f.annotations, [2]string{key, value}) }
}

// Tag is one as in gadget.yaml, such as type:gadget_mntns_id.
func Tag(tag string) Note {
	return func(f *newField) { f.tags = append(f.tags, tag) }
}

// fieldSet is the fields that the module sets in a data source.
type fieldSet struct {
	id      uint32 // the source's number; of a source that the module makes, its number in the plan
	made    bool   // the module makes the source
	row     uint32 // number of the current event
	columns []*column
}

// FieldSet is a *Source or a *NewSource.
type FieldSet interface{ addTo() *fieldSet }

func (s *fieldSet) addTo() *fieldSet { return s }

// column holds what is set in a field for the events of a batch, or for those emitted.
type column struct {
	newField
	set   *fieldSet
	index uint32 // among those of the plan
	width uint32 // of an event's values in bytes; 0 = they differ
	// Whether anything reads it.
	wanted bool
	// One byte per event: whether it has a value. Empty when nobody wants any.
	defined []byte
	// Numbers: width bytes per event.
	values []byte
	// Texts: where each event's starts in data; known up to number `filled`.
	starts []uint32
	filled uint32
	data   []byte
}

// declare makes c a field of the set.
func (s *fieldSet) declare(c *column, name string, kind kind, length uint32, notes []Note) {
	requireMain("Add")
	c.newField = newField{name: name, kind: kind, length: length}
	for _, note := range notes {
		note(&c.newField)
	}
	c.set, c.width, c.wanted = s, kind.width()*length, true
	s.columns = append(s.columns, c)
	if s.made {
		c.grow(firstRows)
		return
	}
	c.index = uint32(len(columns))
	columns = append(columns, c)
}

// A field that the module adds, by its type. One of that name is replaced. An event for which it is not set has no
// value.

func (s *fieldSet) AddBool(name string, notes ...Note) *BoolColumn {
	c := &BoolColumn{}
	s.declare(&c.column, name, kindBool, 1, notes)
	return c
}

func (s *fieldSet) AddInt8(name string, notes ...Note) *NumberColumn[int8] {
	return addNumber[int8](s, name, notes)
}

func (s *fieldSet) AddInt16(name string, notes ...Note) *NumberColumn[int16] {
	return addNumber[int16](s, name, notes)
}

func (s *fieldSet) AddInt32(name string, notes ...Note) *NumberColumn[int32] {
	return addNumber[int32](s, name, notes)
}

func (s *fieldSet) AddInt64(name string, notes ...Note) *NumberColumn[int64] {
	return addNumber[int64](s, name, notes)
}

func (s *fieldSet) AddUint8(name string, notes ...Note) *NumberColumn[uint8] {
	return addNumber[uint8](s, name, notes)
}

func (s *fieldSet) AddUint16(name string, notes ...Note) *NumberColumn[uint16] {
	return addNumber[uint16](s, name, notes)
}

func (s *fieldSet) AddUint32(name string, notes ...Note) *NumberColumn[uint32] {
	return addNumber[uint32](s, name, notes)
}

func (s *fieldSet) AddUint64(name string, notes ...Note) *NumberColumn[uint64] {
	return addNumber[uint64](s, name, notes)
}

func (s *fieldSet) AddFloat32(name string, notes ...Note) *NumberColumn[float32] {
	return addNumber[float32](s, name, notes)
}

func (s *fieldSet) AddFloat64(name string, notes ...Note) *NumberColumn[float64] {
	return addNumber[float64](s, name, notes)
}

func (s *fieldSet) AddText(name string, notes ...Note) *TextColumn {
	c := &TextColumn{}
	s.declare(&c.column, name, kindText, 1, notes)
	return c
}

func (s *fieldSet) AddBytes(name string, notes ...Note) *TextColumn {
	c := &TextColumn{}
	s.declare(&c.column, name, kindBytes, 1, notes)
	return c
}

func (s *fieldSet) AddTextList(name string, notes ...Note) *TextListColumn {
	c := &TextListColumn{}
	s.declare(&c.column, name, kindTextList, 1, notes)
	return c
}

// AddArray adds a field of `length` numbers of one type.
func AddArray[T Numeric](to FieldSet, name string, length int, notes ...Note) *ArrayColumn[T] {
	c := &ArrayColumn[T]{}
	to.addTo().declare(&c.column, name, kindOf[T](), uint32(length), notes)
	return c
}

func addNumber[T Numeric](s *fieldSet, name string, notes []Note) *NumberColumn[T] {
	c := &NumberColumn[T]{}
	s.declare(&c.column, name, kindOf[T](), 1, notes)
	return c
}

// Wanted tells whether anything reads the field. If not, what is set is thrown away: the work can be spared.
func (c *column) Wanted() bool { return c.wanted }

// open marks the current event's value as there. False when it is not to be set: nobody wants it, or there is no
// event.
func (c *column) open() bool {
	row := c.set.row
	if row >= uint32(len(c.defined)) {
		return false
	}
	c.defined[row] = 1
	return true
}

// openText is open for a field of texts: what is appended to data then belongs to the current event.
func (c *column) openText() bool {
	if !c.open() {
		return false
	}
	c.fill(c.set.row)
	return true
}

// fill ends the texts of the events before number `row`.
func (c *column) fill(row uint32) {
	for c.filled < row {
		c.filled++
		c.starts[c.filled] = uint32(len(c.data))
	}
}

// takeBack has the current event be without a value.
func (c *column) takeBack() {
	row := c.set.row
	if row >= uint32(len(c.defined)) || c.defined[row] == 0 {
		return
	}
	c.defined[row] = 0
	if c.width == 0 {
		c.data = c.data[:c.starts[row]]
	}
}

// NumberColumn is a new field with one number.
type NumberColumn[T Numeric] struct{ column }

// Set sets the current event's value.
func (c *NumberColumn[T]) Set(value T) {
	if c.open() {
		*(*T)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(c.values)), uintptr(c.set.row)*unsafe.Sizeof(value))) = value
	}
}

// BoolColumn is a new field that is true or false.
type BoolColumn struct{ column }

// Set sets the current event's value.
func (c *BoolColumn) Set(value bool) {
	if !c.open() {
		return
	}
	c.values[c.set.row] = 0
	if value {
		c.values[c.set.row] = 1
	}
}

// ArrayColumn is a new field with several numbers.
type ArrayColumn[T Numeric] struct{ column }

// Set sets the current event's numbers, exactly as many as the field has.
func (c *ArrayColumn[T]) Set(values []T) {
	if len(values) != int(c.length) {
		Fail("field " + c.name + " takes " + strconv.Itoa(int(c.length)) + " numbers, but was set to " + strconv.Itoa(len(values)))
	}
	if c.open() {
		at := unsafe.Pointer(unsafe.SliceData(c.values[c.set.row*c.width:]))
		copy(unsafe.Slice((*T)(at), c.length), values)
	}
}

// TextColumn is a new field with text or bytes. It is an io.Writer: fmt.Fprintf(column, …) works, and costs memory.
type TextColumn struct{ column }

// Set sets the current event's value.
func (c *TextColumn) Set(value []byte) {
	c.takeBack()
	if c.openText() {
		c.data = append(c.data, value...)
	}
}

// SetString sets the current event's value.
func (c *TextColumn) SetString(value string) {
	c.takeBack()
	if c.openText() {
		c.data = append(c.data, value...)
	}
}

// Write appends to the current event's value.
func (c *TextColumn) Write(more []byte) (int, error) {
	if c.openText() {
		c.data = append(c.data, more...)
	}
	return len(more), nil
}

// WriteString appends to the current event's value.
func (c *TextColumn) WriteString(more string) (int, error) {
	if c.openText() {
		c.data = append(c.data, more...)
	}
	return len(more), nil
}

// WriteByte appends to the current event's value.
func (c *TextColumn) WriteByte(more byte) error {
	if c.openText() {
		c.data = append(c.data, more)
	}
	return nil
}

// WriteInt appends a number in decimal to the current event's value.
func (c *TextColumn) WriteInt(more int64) {
	if c.openText() {
		c.data = strconv.AppendInt(c.data, more, 10)
	}
}

// WriteUint appends a number in decimal to the current event's value.
func (c *TextColumn) WriteUint(more uint64) {
	if c.openText() {
		c.data = strconv.AppendUint(c.data, more, 10)
	}
}

// TextListColumn is a new field with a list of texts.
type TextListColumn struct{ column }

// Set sets the current event's list; nil is an empty one.
func (c *TextListColumn) Set(list TextList) {
	c.takeBack()
	if c.openText() {
		c.data = append(c.data, list...)
	}
}

// Append appends a text to the current event's list.
func (c *TextListColumn) Append(text []byte) {
	if c.openText() {
		c.data = append(append(c.data, text...), 0)
	}
}

// AppendString appends a text to the current event's list.
func (c *TextListColumn) AppendString(text string) {
	if c.openText() {
		c.data = append(append(c.data, text...), 0)
	}
}
