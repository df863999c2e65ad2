//go:build wasip1

package ig

import (
	"runtime"
	"strconv"
	"strings"
	"unsafe"
)

// The functions of the WIT world as the component model's canonical ABI wants them of a core module:
// https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md
// An address is a u32 there; a list or string is its address and its length.

// Sizes in bytes of `tuple<string, string>`, `record source` and `record field`.
const (
	pairSize   = 16
	sourceSize = 20
	fieldSize  = 44
)

// Where functions return what does not fit a number: u8 case (0 = ok), then the value, or the text of the error.
var result [8]uint32

// What result points to, so that the collector sees it.
var resultText string

//go:wasmexport ig:post-processor/processor@1.0.0#init
func exportInit(paramsAt unsafe.Pointer, paramCount uint32, sourcesAt unsafe.Pointer, sourceCount, level uint32) unsafe.Pointer {
	params = make(map[string]string, paramCount)
	for i := range paramCount {
		at := unsafe.Add(paramsAt, i*pairSize)
		params[stringAt(at)] = stringAt(unsafe.Add(at, 8))
	}
	for i := range sourceCount {
		sources = append(sources, sourceAt(unsafe.Add(sourcesAt, i*sourceSize)))
	}
	logLevel = Level(level)
	memory = nil // names and parameters stay where the host put them
	releaseMemory()
	return answer(func() {
		if early != "" {
			Fail(early)
		}
		running = inMain
		program()
		running = afterMain
	}, func() { lowerPlan(result[1:]) })
}

//go:wasmexport ig:post-processor/processor@1.0.0#select
func exportSelect(usedAt unsafe.Pointer, count uint32) {
	for i, used := range unsafe.Slice((*byte)(usedAt), count) {
		columns[i].wanted = used != 0
	}
	lowered = nil
	releaseMemory()
}

//go:wasmexport ig:post-processor/processor@1.0.0#process
func exportProcess(source, count uint32, batchAt unsafe.Pointer, size uint32) unsafe.Pointer {
	batch := unsafe.Slice((*byte)(batchAt), size)
	result := answerPatch(func() { sourceOf(source).process(count, batch) })
	releaseMemory()
	return result
}

func sourceOf(id uint32) *Source {
	for _, s := range sources {
		if s.id == id {
			return s
		}
	}
	Fail("there is no data source number " + strconv.Itoa(int(id)))
	return nil
}

//go:wasmexport ig:post-processor/processor@1.0.0#tick
func exportTick(now uint64) unsafe.Pointer {
	return answerPatch(func() {
		beginPatch(0, 0)
		onTick(now)
	})
}

//go:wasmexport ig:post-processor/processor@1.0.0#finish
func exportFinish() unsafe.Pointer {
	return answerPatch(func() {
		beginPatch(0, 0)
		if onFinish != nil {
			onFinish()
		}
	})
}

func answerPatch(step func()) unsafe.Pointer {
	return answer(func() {
		step()
		endPatch()
	}, func() {
		result[1], result[2] = lower(patch)
	})
}

// answer runs a step, and makes the result of what it leaves, or of its failure.
func answer(step, value func()) unsafe.Pointer {
	if reason, failed := guarded(step); failed {
		resultText = reason
		result[0] = 1
		result[1], result[2] = lower(unsafe.Slice(unsafe.StringData(resultText), len(resultText)))
	} else {
		result[0] = 0
		value()
	}
	return unsafe.Pointer(&result)
}

// guarded runs a step. Returns why it failed, if it did.
func guarded(step func()) (reason string, failed bool) {
	defer func() {
		if cause := recover(); cause != nil {
			reason, failed = reasonOf(cause), true
		}
	}()
	step()
	return "", false
}

func reasonOf(cause any) string {
	var text string
	switch cause := cause.(type) {
	case failure:
		return string(cause)
	case error:
		text = cause.Error()
	case string:
		text = cause
	case interface{ String() string }:
		text = cause.String()
	default:
		text = "a value that is no text"
	}
	return "panic" + authorsLine() + ": " + text
}

// authorsLine is where in the author's code a panic came from, as " in main.go:12".
func authorsLine() string {
	var counters [32]uintptr
	frames := runtime.CallersFrames(counters[:runtime.Callers(0, counters[:])])
	for {
		frame, more := frames.Next()
		if strings.HasPrefix(frame.Function, "main.") {
			return " in " + frame.File[strings.LastIndexByte(frame.File, '/')+1:] + ":" + strconv.Itoa(frame.Line)
		}
		if !more {
			return ""
		}
	}
}

func sourceAt(at unsafe.Pointer) *Source {
	s := &Source{fieldSet: fieldSet{id: load32(at), row: noRow}, name: stringAt(unsafe.Add(at, 4))}
	fieldsAt, count := listAt(unsafe.Add(at, 12))
	size := uint32(8)
	for i := range count {
		f := fieldAt(unsafe.Add(fieldsAt, i*fieldSize))
		s.fields = append(s.fields, f)
		size = max(size, f.offset+f.size)
	}
	s.zeros = make([]byte, size)
	s.record, s.recordSize = unsafe.Pointer(unsafe.SliceData(s.zeros)), size
	return s
}

func fieldAt(at unsafe.Pointer) field {
	f := field{
		name:   stringAt(at),
		kind:   *(*kind)(unsafe.Add(at, 8)),
		length: load32(unsafe.Add(at, 12)),
		place:  *(*place)(unsafe.Add(at, 16)),
		offset: load32(unsafe.Add(at, 20)),
		size:   load32(unsafe.Add(at, 24)),
	}
	annotationsAt, count := listAt(unsafe.Add(at, 36))
	for i := range count {
		pair := unsafe.Add(annotationsAt, i*pairSize)
		if stringAt(pair) == "value.undefined" && f.kind.width() != 0 {
			marker, err := strconv.ParseUint(stringAt(unsafe.Add(pair, 8)), 10, 64)
			f.marker, f.marked = marker, err == nil
		}
	}
	return f
}

// lowerPlan writes `record plan`.
func lowerPlan(to []uint32) {
	var columnWords, readWords, emitWords []uint32
	for _, c := range columns {
		columnWords = append(columnWords, c.set.id)
		columnWords = append(columnWords, c.words()...)
	}
	for _, r := range reads {
		readWords = append(readWords, r.source, r.field)
	}
	for _, s := range emits {
		var fields []uint32
		for _, c := range s.columns {
			fields = append(fields, c.words()...)
		}
		name, size := lowerString(s.name)
		at := lowerWords(fields)
		emitWords = append(emitWords, name, size, at, uint32(len(s.columns)))
	}
	to[0], to[1] = lowerWords(columnWords), uint32(len(columns))
	to[2], to[3] = lowerWords(readWords), uint32(len(reads))
	to[4], to[5] = lowerWords(emitWords), uint32(len(emits))
	to[6] = tickMs
}

// words is `record new-field`.
func (f *newField) words() []uint32 {
	var tags, annotations []uint32
	for _, tag := range f.tags {
		at, size := lowerString(tag)
		tags = append(tags, at, size)
	}
	for _, pair := range f.annotations {
		for _, text := range pair {
			at, size := lowerString(text)
			annotations = append(annotations, at, size)
		}
	}
	name, size := lowerString(f.name)
	return []uint32{
		name, size, uint32(f.kind), f.length,
		lowerWords(tags), uint32(len(f.tags)), lowerWords(annotations), uint32(len(f.annotations)),
	}
}

// What the plan points to, so that the collector leaves it until `select`.
var lowered [][]uint32

func lowerWords(words []uint32) uint32 {
	lowered = append(lowered, words)
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(words))))
}

func lowerString(text string) (at, size uint32) {
	return lower(unsafe.Slice(unsafe.StringData(text), len(text)))
}

func lower(bytes []byte) (at, size uint32) {
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(bytes)))), uint32(len(bytes))
}

func load32(at unsafe.Pointer) uint32 { return *(*uint32)(at) }

// listAt reads the address and the length of a list.
func listAt(at unsafe.Pointer) (unsafe.Pointer, uint32) {
	return unsafe.Add(unsafe.Pointer(nil), load32(at)), load32(unsafe.Add(at, 4))
}

func stringAt(at unsafe.Pointer) string {
	start, size := listAt(at)
	return unsafe.String((*byte)(start), size)
}
