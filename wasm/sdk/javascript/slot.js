// The place in the engine's memory where build.js writes a program: it starts with a mark and is blank after that.

/** Size in bytes, of a program and the end behind it. */
export const SLOT_SIZE = 256 * 1024;

/** What stands behind the program; no byte of UTF-8. */
export const SLOT_END = 0xff;

/** Bytes that stand nowhere else in the engine. */
export const SLOT_MARK = Uint8Array.from({ length: 32 }, (_, i) => (37 * i + 11) % 256);

/** A copy of the engine with `text`, JavaScript, in its slot. Throws an Error when it does not fit. */
export function fillSlot(engine, text) {
  const program = Buffer.from(text);
  if (program.length >= SLOT_SIZE) {
    throw new Error(
      `the program has ${program.length} bytes of JavaScript with the SDK, but at most ${SLOT_SIZE - 1} are allowed`,
    );
  }
  const filled = Buffer.from(engine);
  const start = filled.indexOf(SLOT_MARK);
  const end = start + SLOT_SIZE;
  const blank = filled.subarray(start + SLOT_MARK.length, end).every((byte) => byte === 0x20);
  if (start < 0 || end > filled.length || !blank) throw new Error('the engine has no slot for a program');
  filled.fill(0x20, start, end);
  program.copy(filled, start);
  filled[start + program.length] = SLOT_END;
  return filled;
}
