// Example: leaves out the commands whose name starts with a prefix.
package main

import (
	"bytes"

	"ig"
)

func main() {
	exec := ig.GetSource("exec")
	comm := exec.Text("proc.comm")

	prefix := []byte(ig.Param("prefix"))
	if len(prefix) == 0 {
		ig.Fail("parameter prefix is empty: name the commands to leave out")
	}

	exec.OnEvent(func() bool {
		return !bytes.HasPrefix(comm.Value(), prefix) // false drops the event
	})
}
