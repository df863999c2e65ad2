// Functions that tell of the machine: its system calls, the kernel's symbols, which containers the user asked for.

import type { Context, HostFunctions } from './context.js';
import type { GuestBuffer } from './memory.js';
import type { SyscallDeclaration } from './services.js';

const MAX_NAME_BYTES = 256;

/**
 * What `getSyscallDeclaration` writes: the name, u8 number of parameters, 3 bytes of padding; then for each of six
 * parameters its name and u32 flags. Names end with NUL.
 */
const NAME_SIZE = 32;
const COUNT_AT = NAME_SIZE;
const PARAMS_AT = COUNT_AT + 4;
const PARAM_SIZE = NAME_SIZE + 4;
const MAX_PARAMS = 6;
const DECLARATION_SIZE = PARAMS_AT + MAX_PARAMS * PARAM_SIZE;
const IS_POINTER = 1;

export function machineFunctions({ memory, gadget: { services } }: Context): HostFunctions {
  return {
    getSyscallName: (id: number, target: GuestBuffer): number => {
      const name = services.syscallName(id & 0xffff);
      return name !== undefined && memory.fill(target, Buffer.from(name)) ? 0 : 1;
    },

    getSyscallID: (nameBuffer: GuestBuffer): number => {
      const name = memory.text(nameBuffer, MAX_NAME_BYTES);
      return (name === undefined ? undefined : services.syscallId(name)) ?? -1;
    },

    getSyscallDeclaration: (nameBuffer: GuestBuffer, target: GuestBuffer): number => {
      const name = memory.text(nameBuffer, MAX_NAME_BYTES);
      const declaration = name === undefined ? undefined : services.syscallDeclaration(name);
      return declaration !== undefined && memory.fill(target, encode(name!, declaration)) ? 0 : 1;
    },

    kallsymsSymbolExists: (nameBuffer: GuestBuffer): number => {
      const name = memory.text(nameBuffer, MAX_NAME_BYTES);
      return name !== undefined && services.hasKernelSymbol(name) ? 1 : 0;
    },

    shouldDiscardMntnsID: (mntns: bigint): number =>
      services.discardsMntns(BigInt.asUintN(64, mntns)) ? 1 : 0,
  };
}

function encode(name: string, { params }: SyscallDeclaration): Uint8Array {
  const bytes = Buffer.alloc(DECLARATION_SIZE);
  const shown = params.slice(0, MAX_PARAMS);
  bytes.write(name, 0, NAME_SIZE - 1);
  bytes.writeUInt8(shown.length, COUNT_AT);
  shown.forEach((param, i) => {
    const at = PARAMS_AT + i * PARAM_SIZE;
    bytes.write(param.name, at, NAME_SIZE - 1);
    bytes.writeUInt32LE(param.isPointer ? IS_POINTER : 0, at + NAME_SIZE);
  });
  return bytes;
}
