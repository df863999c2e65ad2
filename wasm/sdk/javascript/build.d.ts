/** Builds a TypeScript or JavaScript program to a component. Throws an Error whose message is the compiler's output. */
export function build(program: string): Promise<Uint8Array>;
