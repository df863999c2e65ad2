// What a core module is given of the machine, by whoever runs it: nothing else reaches the module.

/** Levels of `gadgetLog`. */
export const LOG_LEVEL = { error: 0, warn: 1, info: 2, debug: 3, trace: 4 } as const;

/** An eBPF map. Its functions may throw; what for is logged. */
export interface ServedMap {
  /** libbpf's name of the type: `hash`. */
  readonly type: string;
  readonly keySize: number;
  /** Size in bytes of a value as it is looked up and updated: of all CPUs in a map that has one for each. */
  readonly lookupSize: number;
  readonly fd: number;
  /** False when there is no such key. */
  lookupInto(key: Uint8Array, value: Uint8Array): boolean;
  update(key: Uint8Array, value: Uint8Array, flags: number): void;
  /** False when there is no such key. */
  delete(key: Uint8Array): boolean;
  close(): void;
}

export interface NewServedMap {
  readonly name: string;
  readonly type: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
}

export interface SyscallDeclaration {
  readonly params: readonly { readonly name: string; readonly isPointer: boolean }[];
}

export interface CoreServices {
  /** The highest level that is shown. */
  readonly logLevel: number;
  /** Shows a line of the module's, or says why a call of it failed. Bounded by whoever implements it. */
  log(level: number, text: string): void;
  syscallName(id: number): string | undefined;
  syscallId(name: string): number | undefined;
  syscallDeclaration(name: string): SyscallDeclaration | undefined;
  hasKernelSymbol(name: string): boolean;
  /** Whether the user asked for other containers than that of the mount namespace. */
  discardsMntns(mntns: bigint): boolean;
  /** A map of the gadget's own eBPF program; undefined when there is none of that name. */
  map(name: string): ServedMap | undefined;
  /** Throws when the kernel refuses. */
  createMap(map: NewServedMap): ServedMap;
}
