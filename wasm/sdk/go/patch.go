package ig

import (
	"bytes"
	"unsafe"
)

// The layouts of a batch and a patch are in wasm/wit/README.md.
const (
	patchVersion = 1
	headerSize   = 24
	entrySize    = 12
)

// The patch that the last call returned; its memory is used again.
var patch []byte

// process runs the handler for every event of a batch, and makes the patch.
func (s *Source) process(count uint32, batch []byte) {
	beginPatch(count, uint32(len(columns)))
	if s.handler == nil {
		return
	}
	for _, c := range s.columns {
		if c.wanted && count > uint32(len(c.defined)) {
			c.grow(count)
		}
	}
	keep := uint32(len(patch))
	patch = extend(patch, count)
	for i := range patch[keep : keep+count] {
		patch[keep+uint32(i)] = 1
	}
	if s.handleAll(count, batch, patch[keep:keep+count]) {
		put32(patch, 8, keep)
	}
	s.row, s.record, s.recordSize = noRow, unsafe.Pointer(unsafe.SliceData(s.zeros)), uint32(len(s.zeros))
	for _, c := range s.columns {
		if c.wanted {
			var e entry
			patch, e = c.appendTo(patch, count)
			at := headerSize + entrySize*c.index
			put32(patch, at, e.at)
			put32(patch, at+4, e.size)
			put32(patch, at+8, e.defined)
		}
	}
}

// handleAll runs the handler for the events that are still there, and writes to keep which stay. Returns whether one
// was dropped.
func (s *Source) handleAll(count uint32, batch []byte, keep []byte) bool {
	present := s.readTrailer(count, batch)
	dropped := false
	start := get32(batch, 0)
	for row := uint32(0); row < count; row++ {
		end := get32(batch, 4*row+4)
		record := batch[start:end]
		start = end
		if present != nil && present[row] == 0 {
			continue
		}
		s.row, s.record, s.recordSize = row, unsafe.Pointer(unsafe.SliceData(record)), uint32(len(record))
		if s.handler() {
			continue
		}
		keep[row], dropped = 0, true
		for _, c := range s.columns {
			c.takeBack()
		}
	}
	return dropped
}

// readTrailer finds the columns of a batch. Returns which records are there; nil = all.
func (s *Source) readTrailer(count uint32, batch []byte) []byte {
	trailer := get32(batch, 4*count)
	for i, c := range s.reads {
		at := trailer + 8 + entrySize*uint32(i)
		start, size, defined := get32(batch, at), get32(batch, at+4), get32(batch, at+8)
		c.values, c.offsets, c.defined = nil, nil, nil
		if start == 0 {
			continue
		}
		c.values = batch[start : start+size]
		if c.width == 0 {
			c.offsets, c.values = c.values[:4*(count+1)], c.values[4*(count+1):]
		}
		if defined != 0 {
			c.defined = batch[defined : defined+count]
		}
	}
	if at := get32(batch, trailer); at != 0 {
		return batch[at : at+count]
	}
	return nil
}

// beginPatch starts a patch for so many events, with room for so many columns: none from tick and finish.
func beginPatch(count, entries uint32) {
	patch = extend(patch[:0], headerSize+entrySize*entries)
	put32(patch, 0, patchVersion)
	put32(patch, 4, count)
	put32(patch, 12, entries)
}

// endPatch adds what was emitted and logged.
func endPatch() {
	put32(patch, 16, appendEmitted())
	put32(patch, 20, appendLog())
}

// entry says where a column stands.
type entry struct {
	at      uint32 // 0 = no event has a value
	size    uint32
	defined uint32 // 0 = every event has one
}

// appendTo appends the values of the first `count` events, and forgets them.
func (c *column) appendTo(to []byte, count uint32) ([]byte, entry) {
	defined := c.defined[:count]
	if bytes.IndexByte(defined, 1) < 0 {
		return to, entry{}
	}
	e := entry{at: uint32(len(to))}
	if c.width == 0 {
		c.fill(count)
		starts := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(c.starts))), 4*(count+1))
		to = append(append(to, starts...), c.data...)
		c.filled, c.data = 0, c.data[:0]
	} else {
		values := c.values[:count*c.width]
		to = append(to, values...)
		clear(values)
	}
	e.size = uint32(len(to)) - e.at
	to = extend(to, 0)
	if bytes.IndexByte(defined, 0) >= 0 {
		e.defined = uint32(len(to))
		to = extend(append(to, defined...), 0)
	}
	clear(defined)
	return to, e
}

// extend appends so many zero bytes, and those up to the next multiple of 8.
func extend(to []byte, size uint32) []byte {
	more := align8(uint32(len(to))+size) - uint32(len(to))
	return append(to, make([]byte, more)...)
}

func align8(size uint32) uint32 { return (size + 7) &^ 7 }

func get32(from []byte, at uint32) uint32 {
	return *(*uint32)(unsafe.Pointer(unsafe.SliceData(from[at : at+4])))
}

func put32(to []byte, at, value uint32) {
	*(*uint32)(unsafe.Pointer(unsafe.SliceData(to[at : at+4]))) = value
}

func append32(to []byte, value uint32) []byte {
	return append(to, byte(value), byte(value>>8), byte(value>>16), byte(value>>24))
}
