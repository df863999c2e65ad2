// Every error of the wasm room that a caller may branch on; each message is one sentence for the user.

/** The common base, so that a caller can tell a failure of a gadget's module from a bug. */
export class WasmError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The bytes are not a Wasm module that `ig` runs. */
export class InvalidModuleError extends WasmError {}

/** The module refused, trapped, or exceeded its memory. Its instance is gone; a new one can be made. */
export class GuestError extends WasmError {}

/** The module returned a patch that contradicts itself or its batch. */
export class PatchError extends WasmError {}

const MAX_QUOTED_LENGTH = 300;

/** Text that a module made up, fit to stand in a sentence: of bounded length, without control characters. */
export function quoted(text: string): string {
  const printable = text.slice(0, MAX_QUOTED_LENGTH).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '?');
  return text.length > MAX_QUOTED_LENGTH ? `${printable}…` : printable;
}
