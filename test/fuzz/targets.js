// What is fuzzed, by name, and in which file it is. A target has `run`, which tries one input; `seeds`, valid inputs to
// start from; `refusals`, the errors by which it may refuse one; and maybe `words` of its language, `repair`, which is
// done to every input, `isTyped` where it is what a user types, who may see it again as it was, and `isStructured` where
// its bytes are choices (input.js).

import { readdirSync } from 'node:fs';

export const MAX_INPUT_BYTES = 256 * 1024;

/** By the target's name: the file that has it. */
export async function targetFiles() {
  const found = {};
  for (const file of readdirSync(new URL('targets/', import.meta.url)).sort()) {
    for (const name of Object.keys((await targetsIn(file)) ?? {})) found[name] = file;
  }
  return found;
}

/** The targets of a file; undefined when it has none. */
export async function targetsIn(file) {
  return (await import(`./targets/${file}`)).TARGETS;
}
