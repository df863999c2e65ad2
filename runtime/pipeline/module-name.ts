// What users read of a Wasm module.

/** How the gadget's own module is called, here and in what the Wasm host says of any module. */
export const GADGETS_MODULE = "the gadget's Wasm module";

/** A sentence about a module, with the name that the user knows it by. */
export function called(name: string, sentence: string): string {
  if (name === GADGETS_MODULE) return sentence;
  return sentence.startsWith(GADGETS_MODULE)
    ? name + sentence.slice(GADGETS_MODULE.length)
    : `${name}: ${sentence}`;
}
