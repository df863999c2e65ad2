//go:build wasip1

package ig

import "unsafe"

// Memory for what the host passes to a call: one block, used again for the next.
var (
	memory []uint64
	// Bytes of it in use.
	memoryUsed uint32
	// Blocks that were too small for this call.
	outgrown [][]uint64
)

const firstMemorySize = 64 * 1024

//go:wasmexport cabi_realloc
func reallocate(old unsafe.Pointer, oldSize, align, size uint32) unsafe.Pointer {
	needed := align8(size) // more than any type's alignment asks for
	if memoryUsed+needed > 8*uint32(len(memory)) {
		outgrown = append(outgrown, memory)
		memory = make([]uint64, max(needed+needed/4, firstMemorySize)/8)
		memoryUsed = 0
	}
	at := unsafe.Add(unsafe.Pointer(unsafe.SliceData(memory)), memoryUsed)
	memoryUsed += needed
	copy(unsafe.Slice((*byte)(at), size), unsafe.Slice((*byte)(old), min(oldSize, size)))
	return at
}

// releaseMemory ends the use of what the host passed.
func releaseMemory() { memoryUsed, outgrown = 0, nil }

// captureOutput tells the adapter (adapter.wat) where to put what the program prints, and where to count its bytes.
//
//go:wasmimport wasi_snapshot_preview1 ig_capture_output
func captureOutput(buffer unsafe.Pointer, size uint32, used unsafe.Pointer)

func init() {
	captureOutput(unsafe.Pointer(&output), uint32(len(output)), unsafe.Pointer(&outputSize))
}
