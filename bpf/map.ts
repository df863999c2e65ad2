/** A map in the kernel: typed access by bytes, for those of a loaded object and those this runtime creates. */
import { BpfError, isSystemError, permissionError } from './errors.js';
import { native, type NativeMap } from './native.js';

/** A map as its ELF file declares it. Sizes are in bytes; `type` is libbpf's name (`ringbuf`, `hash`, …). */
export interface MapSpec {
  readonly name: string;
  readonly type: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
}

/** A map as one thread shows it to another. */
export interface SharedMap extends MapSpec {
  readonly fd: number;
}

export interface NewMap extends MapSpec {
  /** BPF_F_* of include/uapi/linux/bpf.h; 0 when left out. */
  readonly flags?: number;
}

/** The kernel keeps 15 characters of a map's name, and only these (bpf_obj_name_cpy, kernel/bpf/syscall.c). */
const NAME = /^[A-Za-z0-9_.]{0,15}$/;

export class BpfMap implements MapSpec {
  readonly name: string;
  readonly type: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly isPerCpu: boolean;
  /** Bytes of a looked-up value: `valueSize`, or one value rounded up to 8 per possible CPU. */
  readonly lookupSize: number;
  readonly #native: NativeMap;

  /** @internal Use {@link BpfMap.create} or `BpfObject.map`. */
  constructor(spec: MapSpec, handle: NativeMap) {
    this.name = spec.name;
    this.type = spec.type;
    this.keySize = spec.keySize;
    this.valueSize = spec.valueSize;
    this.maxEntries = spec.maxEntries;
    this.isPerCpu = spec.type.startsWith('percpu_') || spec.type.startsWith('lru_percpu_');
    this.lookupSize = this.isPerCpu ? roundUp8(spec.valueSize) * native().numPossibleCpus() : spec.valueSize;
    this.#native = handle;
  }

  /** A map that another thread holds, and must hold longer than this object. */
  static borrow(map: SharedMap): BpfMap {
    const Native = native().BpfMap;
    return new BpfMap(map, new Native(map.fd));
  }

  /** Creates a map that lives until it is closed and no program uses it. Throws {@link BpfError}. */
  static create(spec: NewMap): BpfMap {
    const { type, name, keySize, valueSize, maxEntries } = spec;
    if (!NAME.test(name))
      throw new BpfError(`The map name "${name}" is not one: at most 15 of A-Z a-z 0-9 _ and .`);
    const Native = native().BpfMap;
    try {
      return new BpfMap(spec, new Native(type, name, keySize, valueSize, maxEntries, spec.flags ?? 0));
    } catch (cause) {
      if (!isSystemError(cause)) throw cause;
      if (cause.code === 'EPERM') throw permissionError(`to create the map ${name}`, ['CAP_BPF'], { cause });
      throw new BpfError(`Cannot create the ${type} map ${name}: ${cause.message}.`, { cause });
    }
  }

  /** The map's fd, -1 once closed. It stays the map's: do not close it. */
  get fd(): number {
    return this.#native.fd;
  }

  /** The value of `key` ({@link lookupSize} bytes), or undefined when there is none. */
  lookup(key: Uint8Array): Uint8Array | undefined {
    const value = new Uint8Array(this.lookupSize);
    return this.lookupInto(key, value) ? value : undefined;
  }

  /** Copies the value of `key` into `value`; false when there is none. */
  lookupInto(key: Uint8Array, value: Uint8Array): boolean {
    this.#check(key, this.keySize, 'key');
    this.#check(value, this.lookupSize, 'value');
    return this.#native.lookup(key, value);
  }

  /** Sets the value of `key`. `flags` are BPF_ANY (0), BPF_NOEXIST (1), BPF_EXIST (2). */
  update(key: Uint8Array, value: Uint8Array, flags = 0): void {
    this.#check(key, this.keySize, 'key');
    this.#check(value, this.lookupSize, 'value');
    try {
      this.#native.update(key, value, flags);
    } catch (cause) {
      if (!isSystemError(cause)) throw cause;
      const why = cause.code === 'E2BIG' ? `it is full (${this.maxEntries} entries)` : cause.message;
      throw new BpfError(`Cannot update the map ${this.name}: ${why}.`, { cause });
    }
  }

  /** Removes `key`; false when it was not there. */
  delete(key: Uint8Array): boolean {
    this.#check(key, this.keySize, 'key');
    return this.#native.delete(key);
  }

  /** Every key, in the kernel's order. Keys may be deleted on the way; the walk ends even if others keep adding. */
  *keys(): Generator<Uint8Array> {
    let previous: Uint8Array | null = null;
    let next = new Uint8Array(this.keySize);
    let following = new Uint8Array(this.keySize);
    let has = this.#native.nextKey(previous, next);
    for (let n = 0; has && n < this.maxEntries; n++) {
      // Asked before the caller may delete the key: from a missing key, the kernel starts at the first again.
      has = this.#native.nextKey(next, following);
      previous = next;
      next = following;
      following = new Uint8Array(this.keySize);
      yield previous;
    }
  }

  /** The sum over all CPUs of a per-CPU map's leading u64, such as a counter of lost samples; 0n without the key. */
  sumPerCpuU64(key: Uint8Array): bigint {
    if (!this.isPerCpu || this.valueSize < 8)
      throw new BpfError(`The map ${this.name} (${this.type}) holds no per-CPU counters of 8 bytes.`);
    const value = this.lookup(key);
    if (value === undefined) return 0n;
    const view = new DataView(value.buffer);
    let sum = 0n;
    for (let at = 0; at < value.length; at += roundUp8(this.valueSize)) sum += view.getBigUint64(at, true);
    return BigInt.asUintN(64, sum);
  }

  /** Closes the fd if this runtime created the map; a loaded object's map is closed with the object. */
  close(): void {
    this.#native.close();
  }

  #check(bytes: Uint8Array, sizeBytes: number, what: string): void {
    if (this.fd < 0) throw new BpfError(`The map ${this.name} is closed.`);
    if (bytes.byteLength !== sizeBytes)
      throw new BpfError(`A ${what} of map ${this.name} has ${sizeBytes} bytes, not ${bytes.byteLength}.`);
  }
}

function roundUp8(size: number): number {
  return Math.ceil(size / 8) * 8;
}
