// Checks the names of environment variables that the user asks for; the kernel side picks the variables.

const COMMA: i32 = 0x2c;
const EQUALS: i32 = 0x3d;
const SPACE: i32 = 0x20;

/** Whether these are names with commas between them, or nothing. */
export function areNames(list: string): bool {
  if (list.length == 0) return true;
  let before: i32 = COMMA;
  for (let i = 0; i < list.length; i++) {
    const c = list.charCodeAt(i);
    if (c <= SPACE || c == EQUALS || (c == COMMA && before == COMMA)) return false;
    before = c;
  }
  return before != COMMA;
}
