// The tests' Go module: adds a field, replaces one, sets a map, and counts execs by program until it is stopped.
package main

import (
	"fmt"
	"sort"
	"strings"

	"peerwasm/ig"
)

var (
	counts = map[string]uint32{}
	totals ig.Source
	who    ig.Field
	count  ig.Field
	prefix string
	// What a busy module leaves to the garbage collector.
	garbage [][]byte
)

//go:wasmexport gadgetInit
func gadgetInit() int32 {
	exec := ig.GetSource("exec")
	comm := exec.Field("proc.comm")
	pid := exec.Field("proc.pid")
	note := exec.Field("note")
	shout := exec.Add("shout", ig.KindString)
	seen := exec.Add("seen", ig.KindUint32)

	totals = ig.NewArraySource("totals")
	who = totals.Add("who", ig.KindString)
	count = totals.Add("count", ig.KindUint32)

	exec.Subscribe(func(data ig.Data) {
		name := comm.String(data)
		counts[name]++
		shout.SetString(data, prefix+strings.ToUpper(name))
		seen.SetUint32(data, counts[name])
		note.SetString(data, fmt.Sprintf("pid %d", pid.Uint32(data)))
		garbage = append(garbage[:len(garbage)%8], make([]byte, 64*1024))
	})
	return 0
}

//go:wasmexport gadgetStart
func gadgetStart() int32 {
	prefix = ig.Param("operator.oci.wasm.prefix")
	marks := ig.GetMap("marks")
	marks.Put(0, 4711)
	value, found := marks.Get(0)
	ig.Info(fmt.Sprintf("mark %d %t", value, found))
	return 0
}

//go:wasmexport gadgetStop
func gadgetStop() int32 {
	var names []string
	for name := range counts {
		names = append(names, name)
	}
	sort.Strings(names)
	totals.EmitArray(len(names), func(i int, data ig.Data) {
		who.SetString(data, names[i])
		count.SetUint32(data, counts[names[i]])
	})
	return 0
}

func main() {}
