package ig

// NewSource is a data source that the module makes: aggregates, alerts.
type NewSource struct {
	fieldSet
	name string
}

const (
	// At most so many events stand in a block.
	maxBlockRows = 2048
	firstRows    = 16
)

// Made during a call, and taken by its patch.
var (
	blocks uint32
	// The blocks, without their columns; positions are relative to `emitted`.
	blockHeads []byte
	// The blocks' columns. Its first bytes are unused, so that position 0 means "nothing" here too.
	emitted []byte
)

// MakeSource makes a data source of that name; its fields are added, set and emitted.
func MakeSource(name string) *NewSource {
	requireMain("MakeSource")
	s := &NewSource{fieldSet: fieldSet{id: uint32(len(emits)), made: true}, name: name}
	emits = append(emits, s)
	return s
}

// Emit emits an event with the values that were set since the last one.
func (s *NewSource) Emit() {
	s.row++
	if s.row == maxBlockRows {
		s.flush()
		return
	}
	for _, c := range s.columns {
		if s.row == uint32(len(c.defined)) {
			c.grow(2 * s.row)
		}
	}
}

// grow makes room for so many events, in memory of the column's own.
func (c *column) grow(rows uint32) {
	more := rows - uint32(len(c.defined))
	c.defined = append(c.defined, make([]byte, more)...)
	if c.width == 0 {
		c.starts = append(c.starts, make([]uint32, rows+1-uint32(len(c.starts)))...)
	} else {
		c.values = append(c.values, make([]byte, more*c.width)...)
	}
}

// flush makes a block of the events so far.
func (s *NewSource) flush() {
	if s.row == 0 {
		return
	}
	if len(emitted) == 0 {
		emitted = extend(emitted, 8)
	}
	blocks++
	blockHeads = append32(append32(blockHeads, s.id), s.row)
	for _, c := range s.columns {
		var e entry
		emitted, e = c.appendTo(emitted, s.row)
		blockHeads = append32(append32(append32(blockHeads, e.at), e.size), e.defined)
	}
	s.row = 0
}

// appendEmitted appends what was emitted to the patch. Returns its position, 0 if there is nothing.
func appendEmitted() uint32 {
	for _, s := range emits {
		s.flush()
	}
	if blocks == 0 {
		return 0
	}
	position := uint32(len(patch))
	patch = append32(append32(patch, blocks), 0)
	heads := uint32(len(patch))
	patch = extend(append(patch, blockHeads...), 0)
	relocate(patch[heads:], uint32(len(patch)))
	patch = append(patch, emitted...)
	blocks, blockHeads, emitted = 0, blockHeads[:0], emitted[:0]
	return position
}

// relocate adds base to all positions in the heads of blocks.
func relocate(heads []byte, base uint32) {
	head := uint32(0)
	for range blocks {
		fields := len(emits[get32(heads, head)].columns)
		head += 8
		for range fields {
			for _, at := range [...]uint32{head, head + 8} {
				if position := get32(heads, at); position != 0 {
					put32(heads, at, position+base)
				}
			}
			head += entrySize
		}
	}
}
