/** The native addon: its shape, and where it is found. Only this folder calls it; arguments are checked before. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AddonError } from './errors.js';

export interface NativeProgramInfo {
  name: string;
  section: string;
  type: string;
  autoload: boolean;
}

export interface NativeMapInfo {
  name: string;
  type: string;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  /** It is not created with the others. */
  leftOut: boolean;
}

export interface NativeLink {
  read(maxBytes: number, netnsFd: number): Uint8Array;
  close(): void;
}

export interface NativeObject {
  programs(): NativeProgramInfo[];
  maps(): NativeMapInfo[];
  btf(): Uint8Array;
  setAutoload(program: string, autoload: boolean): void;
  setAttachTarget(program: string, target: string): void;
  setMaxEntries(map: string, count: number): void;
  leaveOutMap(map: string): void;
  setValueSize(map: string, sizeBytes: number): void;
  reuseMap(map: string, fd: number): void;
  initialValue(map: string): Uint8Array;
  setInitialValue(map: string, offset: number, bytes: Uint8Array): void;
  /** In another thread; until it settles, the object can only be closed, to no effect. */
  load(): Promise<void>;
  programFd(program: string): number;
  mapFd(map: string): number;
  attach(program: string): NativeLink;
  attachRawTracepoint(program: string, tracepoint: string): NativeLink;
  attachPerfEvent(
    program: string,
    type: number,
    config: number,
    frequencyHz: number,
    cpu: number,
  ): NativeLink;
  attachKprobe(program: string, isReturn: boolean, symbol: string, offset: number): NativeLink;
  attachUprobe(
    program: string,
    isReturn: boolean,
    pid: number,
    path: string,
    symbol: string,
    offset: number,
  ): NativeLink;
  attachIter(program: string, mapFd: number): NativeLink;
  attachKprobeMulti(program: string, isReturn: boolean, pattern: string): NativeLink;
  attachCgroup(program: string, directory: string): NativeLink;
  attachTcx(program: string, isEgress: boolean, networkInterface: string): NativeLink;
  attachSocket(program: string): NativeLink;
  close(): void;
}

export interface NativeMap {
  readonly fd: number;
  lookup(key: Uint8Array, into: Uint8Array): boolean;
  update(key: Uint8Array, value: Uint8Array, flags: number): void;
  delete(key: Uint8Array): boolean;
  nextKey(previous: Uint8Array | null, into: Uint8Array): boolean;
  close(): void;
}

export interface NativeRing {
  readonly skipped: number;
  readonly consumed: number;
  readonly produced: number;
  wait(timeoutMs: number): boolean;
  drain(
    buffer: Uint8Array,
    offsets: Uint32Array,
    recordsAt: number,
    minRecordSize: number,
    end: number,
  ): number;
  close(): void;
}

export interface Native {
  BpfObject: new (bytes: Uint8Array, name: string, btfCustomPath?: string) => NativeObject;
  BpfMap: {
    new (fd: number): NativeMap;
    new (
      type: string,
      name: string,
      keySize: number,
      valueSize: number,
      maxEntries: number,
      flags: number,
    ): NativeMap;
  };
  RingReader: new (fd: number, ringSizeBytes: number) => NativeRing;
  writeSome(fd: number, bytes: Uint8Array, start: number, end: number, timeoutMs: number): number;
  unreadBytes(fd: number): number;
  waitForPrograms(): void;
  readFileBelow(root: string, path: string, maxBytes: number): Promise<Uint8Array>;
  numPossibleCpus(): number;
  measureRuns(): number;
  bootToEpochNs(): bigint;
  bootNowNs(): number;
  libbpfVersion(): string;
  mountDetached(type: string): number;
  probeProgram(type: string, attachType: number, btfId: number, instructions: Uint8Array): void;
  probeMapType(type: string): void;
  kernelBtfIds(names: readonly string[], kinds: readonly number[]): number[];
}

/** From the compiled file (dist/bpf/native.js) and from the source (bpf/native.ts), in that order. */
const PLACES = ['addon/ig_bpf.node', '../dist/bpf/addon/ig_bpf.node'];

/** Throws {@link AddonError} if it is not there. */
export function addonPath(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const path = PLACES.map((place) => join(here, place)).find((place) => existsSync(place));
  if (path === undefined)
    throw new AddonError(`The native addon ${join(here, 'addon/ig_bpf.node')} is missing: run "make build".`);
  return path;
}

function load(): Native {
  const path = addonPath();
  try {
    return createRequire(import.meta.url)(path) as Native;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
    throw new AddonError(`The native addon does not load on this machine: ${reason}.`, { cause });
  }
}

let loaded: Native | undefined;

/** The addon, loaded at first use so that what needs no kernel works without it. Throws {@link AddonError}. */
export function native(): Native {
  return (loaded ??= load());
}
