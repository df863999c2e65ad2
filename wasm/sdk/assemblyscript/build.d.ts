/**
 * Builds a program in AssemblyScript, a file or a folder with a program.ts, to a component. Throws an Error whose message
 * is the compiler's output.
 */
export function build(program: string): Promise<Uint8Array>;
