/** Reads BTF, the type information of eBPF objects; the types follow in the next change. */
export {};
