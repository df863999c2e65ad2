/**
 * Builds a program in C or C++, a file or a folder with a program.c, to a component. Throws an Error whose message is
 * the compiler's output, or says which package to install.
 */
export function build(program: string): Promise<Uint8Array>;
