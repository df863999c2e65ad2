/** eBPF for the rest of the program: open, load, attach, maps, rings, types. */
export { readFileBelow } from './below.js';
export * from './btf.js';
export * from './elf.js';
export * from './errors.js';
export { cpuNumbersEnd, hasKernelBtf, KERNEL_BTF_PATH, libbpfVersion, numPossibleCpus } from './features.js';
export { Link, type ReadOptions, waitForPrograms } from './link.js';
export { BpfMap, type MapSpec, type NewMap, type SharedMap } from './map.js';
export {
  BpfObject,
  ObjectSpec,
  Program,
  type OpenOptions,
  type ProgramRuns,
  type ProgramSpec,
} from './object.js';
export type { AttachOptions } from './attach/index.js';
export { RingReader } from './ring.js';
export { measureRuns } from './runs.js';
export { unreadBytes, writeSome } from './write.js';
