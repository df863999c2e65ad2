// Example: adds where the file given to exec stands, and how deep.
package main

import (
	"bytes"

	"ig"
)

func main() {
	exec := ig.GetSource("exec")
	filename := exec.Text("filename")
	directory := exec.AddText("directory", ig.Description("Directory of the file given to exec"))
	depth := exec.AddUint32("depth", ig.Description("Number of slashes in its path"), ig.Annotation("columns.width", "5"))

	slash := []byte("/")

	exec.OnEvent(func() bool {
		path := filename.Value()
		switch last := bytes.LastIndexByte(path, '/'); {
		case last > 0:
			directory.Set(path[:last])
		case last == 0:
			directory.Set(slash)
		} // no slash: directory is not set, and has no value
		depth.Set(uint32(bytes.Count(path, slash)))
		return true
	})
}
