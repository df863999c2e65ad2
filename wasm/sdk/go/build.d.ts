/**
 * Builds a Go program, a file or a folder with `package main`, to a component. Throws an Error whose message is the
 * compiler's output, or says that Go is missing.
 */
export function build(program: string): Promise<Uint8Array>;
