// What a worker gives to a core module of the machine: names of system calls, the kernel's symbols, eBPF maps.

import { closeSync, openSync, readSync } from 'node:fs';
import { readTracepointFile } from '../../bpf/attach/tracepoint.js';
import { BpfMap, type SharedMap } from '../../bpf/map.js';
import type { CoreServices, SyscallDeclaration } from '../../wasm/host/core/services.js';
import { syscallNames } from '../operators/tables/syscalls.js';

/** More than the symbols of any kernel take, in bytes. */
const MAX_KALLSYMS_SIZE = 64 * 1024 * 1024;
const CHUNK_SIZE = 1024 * 1024;

/** Where the kernel's name of a system call is not that of its number (SYSCALL_DEFINE in its sources). */
const KERNEL_NAMES: Readonly<Record<string, string>> = {
  stat: 'newstat',
  fstat: 'newfstat',
  lstat: 'newlstat',
  uname: 'newuname',
  umount2: 'umount',
  sendfile: 'sendfile64',
};

/** `maps` are those of the loaded gadget, which hold longer than this thread. */
export function coreServices(
  maps: readonly SharedMap[],
): Omit<CoreServices, 'log' | 'logLevel' | 'discardsMntns'> {
  const names = syscallNames(process.arch === 'arm64' ? 'arm64' : 'x64');
  const declarations = new Map<string, SyscallDeclaration | undefined>();
  const symbols = new KernelSymbols();
  return {
    syscallName: (id) => names[id],
    syscallId: (name) => {
      const id = names.indexOf(name);
      return id < 0 ? undefined : id;
    },
    syscallDeclaration: (name) => {
      if (!names.includes(name)) return undefined;
      if (!declarations.has(name)) declarations.set(name, readDeclaration(name));
      return declarations.get(name);
    },
    hasKernelSymbol: (name) => symbols.has(name),
    map: (name) => {
      const found = maps.find((map) => map.name === name);
      return found === undefined ? undefined : BpfMap.borrow(found);
    },
    createMap: (map) => BpfMap.create(map),
  };
}

/** Undefined where the kernel has no tracepoint for the call, or shows none. */
function readDeclaration(name: string): SyscallDeclaration | undefined {
  try {
    const format = readTracepointFile(`syscalls/sys_enter_${KERNEL_NAMES[name] ?? name}`, 'format');
    return format === undefined ? undefined : parseDeclaration(format);
  } catch {
    return undefined;
  }
}

/** A line of a tracepoint's format: `field:const char * filename;	offset:24;	size:8;	signed:0;`. */
const FIELD = /^\s*field:(.*?)(\w+);/;

/** The parameters that a `format` file of tracefs lists. */
export function parseDeclaration(format: string): SyscallDeclaration {
  const fields = format.split('\n').flatMap((line) => {
    const match = FIELD.exec(line);
    return match === null ? [] : [{ type: match[1]!, name: match[2]! }];
  });
  // Before them stand the number of the call, and what every tracepoint has.
  const first = fields.findIndex(({ name }) => name === '__syscall_nr') + 1;
  return {
    params: fields.slice(first).map(({ type, name }) => ({ name, isPointer: type.includes('*') })),
  };
}

/** The kernel's symbols, read when a module first asks. */
class KernelSymbols {
  private names: Set<string> | undefined;

  has(name: string): boolean {
    return (this.names ??= readSymbols()).has(name);
  }
}

/** Each line of /proc/kallsyms is `ADDRESS TYPE NAME`, for those of modules `[MODULE]` behind a tab. */
function readSymbols(): Set<string> {
  const names = new Set<string>();
  let rest = '';
  const chunk = Buffer.alloc(CHUNK_SIZE);
  let fd: number;
  try {
    fd = openSync('/proc/kallsyms', 'r');
  } catch {
    return names;
  }
  try {
    for (let total = 0; total < MAX_KALLSYMS_SIZE;) {
      const size = readSync(fd, chunk, 0, CHUNK_SIZE, null);
      if (size === 0) break;
      total += size;
      const lines = (rest + chunk.toString('latin1', 0, size)).split('\n');
      rest = lines.pop()!;
      for (const line of lines) names.add(symbolIn(line));
    }
  } finally {
    closeSync(fd);
  }
  return names;
}

function symbolIn(line: string): string {
  const start = line.indexOf(' ', line.indexOf(' ') + 1) + 1;
  const end = line.indexOf('\t', start);
  return end < 0 ? line.slice(start) : line.slice(start, end);
}
