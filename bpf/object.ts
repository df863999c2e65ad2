/** eBPF objects: what an ELF file says ({@link ObjectSpec}) and what the kernel holds of it ({@link BpfObject}). */
import { accessSync, constants, readFileSync } from 'node:fs';
import { attach, attachKindOf, parseSection, type AttachOptions } from './attach/index.js';
import { checkObject } from './elf.js';
import { BpfError, isSystemError, lastWarning, loadError } from './errors.js';
import type { Link } from './link.js';
import { BpfMap, type MapSpec } from './map.js';
import { native, type NativeObject } from './native.js';

/** A program as its ELF file declares it. */
export interface ProgramSpec {
  readonly name: string;
  /** The ELF section: `tracepoint/sched/sched_process_exec`. */
  readonly section: string;
  /** libbpf's name of the program type: `tracepoint`, `kprobe`, `tracing`, … */
  readonly type: string;
  /** What the section says after its first slash, if anything. */
  readonly attachTo?: string;
}

export interface OpenOptions {
  /** BTF of the kernel to relocate against, where /sys/kernel/btf/vmlinux is missing. */
  btfCustomPath?: string;
  /** The object was made with this program, or was opened before: it is not checked first, which takes some ms. */
  trusted?: boolean;
}

/** An object as its file declares it, open to changes; the same on every machine, as the kernel is not asked. */
export class ObjectSpec {
  readonly name: string;
  readonly programs: readonly ProgramSpec[];
  readonly maps: readonly MapSpec[];
  #native: NativeObject | undefined;

  /** Opens the ELF file in `bytes`. `name` is for messages. Throws {@link BpfError}. */
  static open(bytes: Uint8Array, name: string, options: OpenOptions = {}): ObjectSpec {
    if (options.btfCustomPath !== undefined && !isReadable(options.btfCustomPath))
      throw new BpfError(`No BTF can be read from ${options.btfCustomPath} for eBPF object ${name}.`);
    if (options.trusted !== true) checkObject(bytes, name);
    const Native = native().BpfObject;
    // The kernel shows this name's first letters in its maps' names, and allows only these characters there.
    const label = name.replace(/[^A-Za-z0-9_]/g, '_') || 'object';
    try {
      return new ObjectSpec(name, new Native(bytes, label, options.btfCustomPath));
    } catch (cause) {
      if (!isSystemError(cause)) throw cause;
      const log = cause.log ?? '';
      throw new BpfError(`Cannot open eBPF object ${name}: ${lastWarning(log) || cause.message}.`, {
        cause,
        log,
      });
    }
  }

  private constructor(name: string, handle: NativeObject) {
    this.name = name;
    this.#native = handle;
    this.programs = handle.programs().map(({ name, section, type }) => {
      const { target } = parseSection(section);
      return { name, section, type, ...(target !== '' && { attachTo: target }) };
    });
    this.maps = handle.maps().map(({ leftOut: _, ...spec }) => spec);
  }

  /** The object's own types, raw BTF; empty if it was built without. */
  get btf(): Uint8Array {
    return this.#open().btf();
  }

  /** Whether `load` brings the program into the kernel; true for all but sections that start with `?`. */
  setAutoload(program: string, autoload: boolean): void {
    this.#program(program);
    this.#change(`set whether program ${program} is loaded`, (handle) =>
      handle.setAutoload(program, autoload),
    );
  }

  /** The kernel function or tracepoint of a program whose target BTF names (tp_btf, fentry, fexit, lsm). */
  setAttachTarget(program: string, target: string): void {
    this.#program(program);
    this.#change(`retarget program ${program} to ${target}`, (handle) =>
      handle.setAttachTarget(program, target),
    );
  }

  setMaxEntries(map: string, count: number): void {
    this.#map(map);
    this.#change(`resize map ${map} to ${count}`, (handle) => handle.setMaxEntries(map, count));
  }

  /** Has the load not create a map; code that uses it must not be reachable with the object's constants. */
  leaveOutMap(map: string): void {
    this.#map(map);
    this.#change(`leave out map ${map}`, (handle) => handle.leaveOutMap(map));
  }

  /** For maps whose values the file gives no type. */
  setValueSize(map: string, sizeBytes: number): void {
    this.#map(map);
    this.#change(`make values of map ${map} ${sizeBytes} bytes long`, (handle) =>
      handle.setValueSize(map, sizeBytes),
    );
  }

  /** Makes the object use an existing map of the same shape instead of creating its own; `fd` is duplicated. */
  reuseMap(map: string, fd: number): void {
    this.#map(map);
    this.#change(`use fd ${fd} as map ${map}`, (handle) => handle.reuseMap(map, fd));
  }

  /** A copy of what a section's map (`.rodata`, `.data`, `.bss`) will start with. */
  initialValue(map: string): Uint8Array {
    this.#map(map);
    return this.#open().initialValue(map);
  }

  /** Overwrites a range of what a section's map starts with: the value of a `const volatile` at its BTF offset. */
  setInitialValue(map: string, offset: number, bytes: Uint8Array): void {
    const size = this.initialValue(map).length;
    if (!(offset >= 0 && offset + bytes.length <= size))
      throw new BpfError(
        `Bytes ${offset}..${offset + bytes.length} are outside ${map} of ${this.name} (${size} bytes).`,
      );
    this.#change(`set the start value of ${map}`, (handle) => handle.setInitialValue(map, offset, bytes));
  }

  /**
   * Relocates and loads the object, in another thread. Whatever the outcome, this spec is used up at once.
   * Rejects with {@link VerifierError}, {@link NotSupportedByKernelError}, {@link PermissionError} or {@link BpfError}.
   */
  async load(): Promise<BpfObject> {
    const handle = this.#open();
    this.#native = undefined;
    try {
      await handle.load();
      return new BpfObject(this.name, handle, this.programs);
    } catch (cause) {
      handle.close();
      if (!isSystemError(cause)) throw cause;
      throw loadError(
        cause,
        this.name,
        (program) => this.programs.find((p) => p.name === program)?.section ?? '',
      );
    }
  }

  /** Frees the object; nothing after a load, as it belongs to the {@link BpfObject} then. */
  close(): void {
    this.#native?.close();
    this.#native = undefined;
  }

  #open(): NativeObject {
    if (this.#native === undefined)
      throw new BpfError(`The eBPF object ${this.name} is closed or already loaded.`);
    return this.#native;
  }

  #program(name: string): void {
    if (!this.programs.some((program) => program.name === name))
      throw new BpfError(`The eBPF object ${this.name} has no program ${name}.`);
  }

  #map(name: string): void {
    if (!this.maps.some((map) => map.name === name))
      throw new BpfError(`The eBPF object ${this.name} has no map ${name}.`);
  }

  #change(what: string, change: (handle: NativeObject) => void): void {
    const handle = this.#open();
    try {
      change(handle);
    } catch (cause) {
      if (!isSystemError(cause)) throw cause;
      const log = cause.log ?? '';
      const reason = lastWarning(log) || cause.message;
      throw new BpfError(`Cannot ${what} in ${this.name}: ${reason}.`, { cause, log });
    }
  }
}

/** A program in the kernel. */
export class Program implements ProgramSpec {
  readonly name: string;
  readonly section: string;
  readonly type: string;
  readonly attachTo?: string;
  readonly fd: number;
  readonly #attach: (program: Program, options: AttachOptions) => Link;

  /** @internal Use `BpfObject.program`. */
  constructor(
    spec: ProgramSpec,
    fd: number,
    attachProgram: (program: Program, options: AttachOptions) => Link,
  ) {
    this.name = spec.name;
    this.section = spec.section;
    this.type = spec.type;
    if (spec.attachTo !== undefined) this.attachTo = spec.attachTo;
    this.fd = fd;
    this.#attach = attachProgram;
  }

  /** Whether {@link attach} knows this kind of section. */
  get isAttachable(): boolean {
    return attachKindOf(this.section) !== undefined;
  }

  /**
   * Attaches as the section says, or to `options.target` in its place; may be called again for more targets.
   * Throws {@link NotSupportedByKernelError}, {@link PermissionError}, {@link InvalidTargetError},
   * {@link UnsupportedAttachError} or {@link BpfError}.
   */
  attach(options: AttachOptions = {}): Link {
    return this.#attach(this, options);
  }

  /** What the kernel has counted of the program's runs, in /proc/PID/fdinfo (bpf_prog_show_fdinfo, kernel/bpf/syscall.c). */
  runs(): ProgramRuns {
    const info = readFileSync(`/proc/self/fdinfo/${this.fd}`, 'latin1');
    const read = (key: string): number => Number(new RegExp(`^${key}:\\s*(\\d+)`, 'm').exec(info)?.[1] ?? 0);
    return { count: read('run_cnt'), ns: read('run_time_ns'), misses: read('recursion_misses') };
  }
}

export interface ProgramRuns {
  /** Runs, and nanoseconds in all of them, while they are measured: see `measureRuns`. */
  readonly count: number;
  readonly ns: number;
  /**
   * How often the kernel passed the program over, because it was not done with it on the same CPU: it was interrupted
   * there, or another task was preferred. Linux 5.12; 0 on older kernels, which do not count it.
   */
  readonly misses: number;
}

/** A loaded object: its programs and maps stay in the kernel until it is closed. */
export class BpfObject {
  readonly name: string;
  readonly programs: readonly Program[];
  /** Those that were not left out. */
  readonly maps: readonly BpfMap[];
  readonly #native: NativeObject;
  readonly #links = new Set<Link>();

  /** @internal Use `ObjectSpec.load`. */
  constructor(name: string, handle: NativeObject, programs: readonly ProgramSpec[]) {
    this.name = name;
    this.#native = handle;
    const attachProgram = (program: Program, options: AttachOptions): Link => this.#attach(program, options);
    this.programs = programs
      .map((spec) => new Program(spec, handle.programFd(spec.name), attachProgram))
      .filter((program) => program.fd >= 0);
    const Native = native().BpfMap;
    // Asked again, as the load may have changed what the file says: a ring's size is rounded up to pages.
    const created = handle.maps().filter(({ leftOut }) => !leftOut);
    this.maps = created.map((info) => new BpfMap(info, new Native(handle.mapFd(info.name))));
  }

  /** A loaded program. Throws {@link BpfError} if there is none, or it was not loaded. */
  program(name: string): Program {
    const found = this.programs.find((program) => program.name === name);
    if (found === undefined)
      throw new BpfError(`The eBPF object ${this.name} has no loaded program ${name}.`);
    return found;
  }

  /** Throws {@link BpfError} if there is none. */
  map(name: string): BpfMap {
    const found = this.maps.find((map) => map.name === name);
    if (found === undefined) throw new BpfError(`The eBPF object ${this.name} has no map ${name}.`);
    return found;
  }

  /** Detaches every program and frees everything. Fds read from here are no longer valid. */
  close(): void {
    for (const link of this.#links) link.close();
    this.#links.clear();
    for (const map of this.maps) map.close();
    this.#native.close();
  }

  #attach(program: Program, options: AttachOptions): Link {
    const link = attach(this.#native, program, options, (closed) => this.#links.delete(closed));
    this.#links.add(link);
    return link;
  }
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}
