// The module's log: lines for whoever runs the gadget, kept until the next patch takes them.

/** From what is always seen to what few ask for; each level includes those before it. */
export enum Level {
  ERROR,
  WARN,
  INFO,
  DEBUG,
  TRACE,
}

/** The last level that is seen. */
let seen: u32 = Level.ERROR;

/** Far more than are shown in a second. */
const MAX_LINES: u32 = 1024;
/** More than is shown of a line, in UTF-16 units. */
const MAX_LENGTH = 1024;

export let lineCount: u32 = 0;
/** Level, start in `text` and size of each line, u32. */
export let lines: usize = 0;
/** The lines' bytes, one behind the other. */
export let text: usize = 0;
export let textSize: u32 = 0;
let capacity: u32 = 0;

export function setLevel(level: u32): void {
  seen = level;
}

/** Whether lines of this level are seen by anyone; ask before you make one. */
export function logs(level: Level): bool {
  return <u32>level <= seen;
}

/** Logs a line; nothing happens when nobody sees it. */
export function log(level: Level, line: string): void {
  if (!logs(level) || lineCount >= MAX_LINES) return;
  const length = min(line.length, MAX_LENGTH);
  reserve(<u32>length * 3);
  if (lines == 0) lines = heap.alloc(12 * MAX_LINES);
  const size = <u32>String.UTF8.encodeUnsafe(changetype<usize>(line), length, text + textSize);
  const entry = lines + 12 * lineCount++;
  store<u32>(entry, level);
  store<u32>(entry, textSize, 4);
  store<u32>(entry, size, 8);
  textSize += size;
}

/** Forgets the lines. */
export function clearLog(): void {
  lineCount = 0;
  textSize = 0;
}

function reserve(more: u32): void {
  if (textSize + more <= capacity) return;
  capacity = max(textSize + more, 2 * capacity);
  text = text == 0 ? heap.alloc(capacity) : heap.realloc(text, capacity);
}
