package ig

import "strings"

// Level is how much of what a module says is seen; each includes those before it.
type Level uint8

const (
	LevelError Level = iota
	LevelWarn
	LevelInfo
	LevelDebug
	LevelTrace
)

var (
	// The most that anybody reads.
	logLevel Level
	// Lines so far, by level, position in logText and size; taken by the next patch.
	logLines []logLine
	logText  []byte
)

// What the program has printed since the last patch: the adapter puts it there.
var (
	output     [4096]byte
	outputSize uint32
)

type logLine struct{ level, at, size uint32 }

// Enabled tells whether anybody reads lines of that level. Ask before making up a line for every event.
func Enabled(level Level) bool { return level <= logLevel }

func Error(line string) { Log(LevelError, line) }
func Warn(line string)  { Log(LevelWarn, line) }
func Info(line string)  { Log(LevelInfo, line) }
func Debug(line string) { Log(LevelDebug, line) }
func Trace(line string) { Log(LevelTrace, line) }

// Log says something to the user, if its level is enabled.
func Log(level Level, line string) {
	if Enabled(level) {
		logLines = append(logLines, logLine{uint32(level), uint32(len(logText)), uint32(len(line))})
		logText = append(logText, line...)
	}
}

// appendLog appends the lines to the patch. Returns their position, 0 if there are none.
func appendLog() uint32 {
	for line := range strings.Lines(string(output[:outputSize])) {
		Info(strings.TrimSuffix(line, "\n"))
	}
	outputSize = 0
	if len(logLines) == 0 {
		return 0
	}
	position := uint32(len(patch))
	text := position + 4 + entrySize*uint32(len(logLines))
	patch = append32(patch, uint32(len(logLines)))
	for _, line := range logLines {
		patch = append32(append32(append32(patch, line.level), text+line.at), line.size)
	}
	patch = append(patch, logText...)
	logLines, logText = logLines[:0], logText[:0]
	return position
}
