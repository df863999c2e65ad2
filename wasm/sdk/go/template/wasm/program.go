// Leaves out commands by their name, and adds the directory of the file that was executed.
package main

import (
	"bytes"

	"ig"
)

var slash = []byte("/")

// Once, before the first event: what is read and what is added, by name.
func main() {
	exec := ig.GetSource("exec")
	comm := exec.Text("proc.comm")
	filename := exec.Text("filename")
	directory := exec.AddText("directory", ig.Description("The directory of the file that was executed"))

	hidden := []byte(ig.Param("hide"))

	// For every event; false leaves it out.
	exec.OnEvent(func() bool {
		if len(hidden) > 0 && bytes.HasPrefix(comm.Value(), hidden) {
			return false
		}
		path := filename.Value() // a view of the event: nothing is copied
		switch last := bytes.LastIndexByte(path, '/'); {
		case last > 0:
			directory.Set(path[:last])
		case last == 0:
			directory.Set(slash)
		} // no slash: the event has no directory
		return true
	})
}
