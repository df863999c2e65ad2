/** Builds an AssemblyScript module to a component. Throws an Error whose message is the compiler's output. */
export function build(entry: string): Promise<Uint8Array>;
