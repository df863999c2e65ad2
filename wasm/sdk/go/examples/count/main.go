// Example: counts events per container, and reports the counts every few seconds.
package main

import (
	"strconv"

	"ig"
)

// More mount namespaces than these are counted together, under number 0.
const maxNamespaces = 1024

type counter struct {
	namespace uint64
	container []byte // the name last seen
	named     bool
	count     uint64
}

func main() {
	interval := intervalSeconds()

	exec := ig.GetSource("exec")
	namespace := exec.Uint64("proc.mntns_id")
	container := exec.Text("runtime.containerName", ig.Optional)

	counts := ig.MakeSource("exec_counts")
	countsNamespace := counts.AddUint64("mntns_id",
		ig.Tag("type:gadget_mntns_id"), ig.Description("Mount namespace of the container"))
	countsContainer := counts.AddText("container")
	countsCount := counts.AddUint64("count")

	// In the order of their first events; the memory is used again after each report.
	counters := make([]counter, 0, maxNamespaces+1)
	byNamespace := map[uint64]int{}

	find := func(id uint64) *counter {
		at, found := byNamespace[id]
		if !found && len(byNamespace) >= maxNamespaces {
			id = 0
			at, found = byNamespace[id]
		}
		if !found {
			at = len(counters)
			counters = counters[:at+1]
			counters[at] = counter{namespace: id, container: counters[at].container[:0]}
			byNamespace[id] = at
		}
		return &counters[at]
	}

	exec.OnEvent(func() bool {
		id := namespace.Value()
		c := find(id)
		c.count++
		if name, ok := container.Get(); ok && c.namespace == id {
			c.container, c.named = append(c.container[:0], name...), true
		}
		return true
	})

	report := func() {
		for i := range counters {
			c := &counters[i]
			countsNamespace.Set(c.namespace)
			if c.named {
				countsContainer.Set(c.container)
			}
			countsCount.Set(c.count)
			counts.Emit()
		}
		if len(counters) > 0 && ig.Enabled(ig.LevelDebug) {
			ig.Debug("reported " + strconv.Itoa(len(counters)) + " containers")
		}
		counters = counters[:0]
		clear(byNamespace)
	}
	ig.OnTick(1000*interval, func(now uint64) { report() })
	ig.OnFinish(report)
}

func intervalSeconds() uint32 {
	text := ig.Param("interval")
	if text == "" {
		return 1
	}
	seconds, err := strconv.ParseUint(text, 10, 32)
	if err != nil || seconds < 1 || seconds > 3600 {
		ig.Fail("parameter interval is " + text + ": it must be a number of seconds from 1 to 3600")
	}
	return uint32(seconds)
}
