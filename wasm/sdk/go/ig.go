// Package ig makes post-processors: modules of ig that drop events, add and replace fields, and emit events of their
// own. An author's main function looks up data sources and fields, and says what to do with each event; it runs once,
// before the first event. README.md has a complete example.
package ig

var (
	// The author's main; set by a file that build.js puts beside the author's.
	program func()
	running phase
	// What was asked for before main ran; the module is refused for it.
	early string

	params  map[string]string
	sources []*Source
	// All fields added to sources, in the order of the plan.
	columns []*column
	emits   []*NewSource
	reads   []read

	tickMs   uint32
	onTick   func(now uint64)
	onFinish func()
)

// phase is what runs. Parameters and sources are known from main on, and what is declared is declared in main.
type phase uint8

const (
	packageInit phase = iota
	inMain
	afterMain
)

// Main is for the code that build.js adds to a program: it says which function is the program.
func Main(main func()) { program = main }

// failure is what Fail panics with.
type failure string

// Fail stops with this sentence for the user: in main the whole run, in a handler the batch of events, which is
// counted as lost. It does not return.
func Fail(sentence string) { panic(failure(sentence)) }

// Param is the value of a parameter; empty if there is none of that key.
func Param(key string) string {
	if running == packageInit {
		requireMain("Param")
	}
	return params[key]
}

// GetSource finds a data source by name; "*" is the first there is. Without one, the run ends with a sentence.
func GetSource(name string) *Source {
	if !requireMain("GetSource") {
		return &Source{}
	}
	for _, source := range sources {
		if name == "*" || name == source.name {
			return source
		}
	}
	Fail("there is no data source " + name + ", which the module needs")
	return nil
}

// OnTick has handler called every so many milliseconds (at least 10), also when there are no events. now is
// CLOCK_BOOTTIME in nanoseconds, the clock of events' timestamps.
func OnTick(everyMs uint32, handler func(now uint64)) {
	requireMain("OnTick")
	if onTick != nil {
		Fail("OnTick was called twice, but there is one tick")
	}
	tickMs, onTick = everyMs, handler
}

// OnFinish has handler called once, after the last event: the last chance to emit.
func OnFinish(handler func()) {
	requireMain("OnFinish")
	onFinish = handler
}

// requireMain tells whether main runs. Of what is called before, nothing can come but the refusal of the module.
func requireMain(function string) bool {
	switch running {
	case packageInit:
		early = "the module calls ig." + function + " before main; call it in main"
	case afterMain:
		Fail("the module calls ig." + function + " after main; call it in main")
	}
	return running == inMain
}
