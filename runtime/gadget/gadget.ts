// A gadget: from an image's parts (spec: the same on every machine) to programs in this kernel (loaded).

import {
  type BpfObject,
  BpfError,
  type BpfMap,
  type Link,
  NotSupportedByKernelError,
  ObjectSpec,
  PermissionError,
  type ProgramRuns,
  type SharedMap,
  cpuNumbersEnd,
  hasKernelBtf,
  KERNEL_BTF_PATH,
  parseBtf,
  waitForPrograms,
} from '../../bpf/index.js';
import { bootToEpochNs } from '../../bpf/clock.js';
import type { DataSourceSpec } from '../data/spec.js';
import { type BufferSize, bufferSize } from './buffers.js';
import { type EbpfSchema, type ParamVariable, SWITCH_MARK, readEbpfSchema } from './ebpf-schema.js';
import { GadgetError, ParamError } from './errors.js';
import { HeldBackCounters } from './held-back.js';
import { type EnabledBy, emptyMetadata, fieldWordsOf, type Metadata, parseMetadata } from './metadata.js';
import { checkValue, ebpfParam, encodeValue, type Param, wasmParam } from './params.js';

/** The parts of an image that make a gadget. */
export interface GadgetParts {
  readonly ebpf?: Uint8Array;
  readonly wasm?: Uint8Array;
  readonly metadata?: Uint8Array;
}

/** What is looked at before a gadget is used. */
export interface OpenChecks {
  /** The object was made with this program, so that libbpf can be given it as it is. */
  readonly trusted: boolean;
  /** Metadata is checked; not needed for what was checked when it was built. */
  readonly validate: boolean;
}

/** Name of the map by which gadgets filter mount namespaces in the kernel (u64 → u32), and of its switch. */
const MNTNS_FILTER_MAP = 'gadget_mntns_filter_map';
const MNTNS_FILTER_SWITCH = 'gadget_filter_by_mntns';
/** Variable (u64) of gadgets that compare times since boot with the wall clock: bpf/include/gadget/clock.h. */
const BOOT_TO_EPOCH = 'gadget_boot_to_epoch_ns';
/** Value of `attach_to` for a program that is to be left out. */
const DISABLED = 'gadget_program_disabled';
const SETTING = /^programs\.(\w+)\.attach_to$/;
/** Programs whose hook the load resolves, by BTF. */
const TRACING_KINDS = new Set(['tp_btf', 'fentry', 'fexit', 'fmod_ret', 'lsm']);
const LOSS_COUNTER = /^(.*)_lost_samples$/;

/** A ring buffer to read, and the data source (by place in `Gadget.enabledSources`) that its records belong to. */
export interface Ring {
  readonly source: number;
  readonly fd: number;
  readonly sizeBytes: number;
  /** The largest record there may be, where the gadget says. */
  readonly recordBytes: number | undefined;
}

export class Gadget {
  readonly name: string;
  readonly metadata: Metadata;
  readonly params: readonly Param[];
  /** All that there can be; a run has the `enabledSources`. */
  readonly sources: readonly DataSourceSpec[];
  readonly wasm: Uint8Array | undefined;
  private readonly ebpf: Uint8Array;
  private readonly object: ObjectSpec;
  private readonly schema: EbpfSchema;
  /** What programs are attached to instead of what their section says; by name in lower case. */
  private readonly targets: Map<string, string>;

  /**
   * Reads an image's parts; the kernel is not asked. Throws GadgetError or BpfError: what is wrong with the gadget.
   */
  static async open(name: string, parts: GadgetParts, { trusted, validate }: OpenChecks): Promise<Gadget> {
    const metadata =
      parts.metadata === undefined ? emptyMetadata(name) : await parseMetadata(parts.metadata, validate);
    if (parts.ebpf === undefined) {
      const what =
        parts.wasm === undefined
          ? ' to run'
          : `: it is a filter for the events of others, as in \`ig run trace_exec --wasm ${name}\``;
      throw new GadgetError(`the image of gadget ${name} has no eBPF program${what}`);
    }
    const object = ObjectSpec.open(parts.ebpf, name, { trusted });
    try {
      return new Gadget(name, metadata, { ...parts, ebpf: parts.ebpf }, object);
    } catch (error) {
      object.close();
      throw error;
    }
  }

  private constructor(
    name: string,
    metadata: Metadata,
    { ebpf, wasm }: GadgetParts & { readonly ebpf: Uint8Array },
    object: ObjectSpec,
  ) {
    this.ebpf = ebpf;
    this.name = name;
    this.metadata = metadata;
    this.wasm = wasm;
    this.object = object;
    if (object.btf.length === 0)
      throw new GadgetError(`the eBPF object of gadget ${name} has no BTF; build it with -g`);
    this.schema = readEbpfSchema(parseBtf(object.btf));
    this.targets = new Map(
      Object.entries(metadata.programs).flatMap(([name, { attachTo }]) =>
        attachTo === undefined ? [] : [[name, attachTo]],
      ),
    );
    this.params = [
      ...this.schema.params.map((variable) => this.makeEbpfParam(variable)),
      ...Object.entries(metadata.wasmParams).map(([key, words]) => wasmParam(key, words)),
    ];
    this.sources = this.schema.tracers.map(({ dataSource, type, recordSize, fields }) => {
      return { name: dataSource, type, recordSize, fields, ...fieldWordsOf(metadata, dataSource) };
    });
    this.checkNames();
  }

  private makeEbpfParam(variable: ParamVariable): Param {
    const initial = this.object.initialValue(variable.section);
    return ebpfParam(
      variable.name,
      variable.type,
      variable.sizeBytes,
      initial.subarray(variable.offset, variable.offset + variable.sizeBytes),
      this.metadata.ebpfParams[variable.name.toLowerCase()],
    );
  }

  private checkNames(): void {
    const { programs, maps, datasources } = this.metadata;
    this.checkObjectNames('programs', Object.keys(programs), this.object.programs);
    this.checkObjectNames('maps', Object.keys(maps), this.object.maps);
    const keys = new Set(this.params.map((param) => param.key));
    for (const [group, members] of Object.entries({ programs, maps, datasources })) {
      for (const [name, { enabledBy }] of Object.entries(members)) {
        const unknown = Object.keys(enabledBy).find((key) => !keys.has(key));
        if (unknown !== undefined)
          throw new GadgetError(`invalid gadget.yaml: ${group}.${name}.enabledBy: no parameter ${unknown}`);
      }
    }
  }

  private checkObjectNames(
    group: 'programs' | 'maps',
    names: readonly string[],
    there: readonly { readonly name: string }[],
  ): void {
    const known = new Set(there.map(({ name }) => name.toLowerCase()));
    const unknown = names.find((name) => !known.has(name));
    if (unknown === undefined) return;
    const what = group.slice(0, -1);
    throw new GadgetError(`invalid gadget.yaml: ${group}.${unknown}: the eBPF object has no such ${what}`);
  }

  /**
   * The value of every parameter: the user's, else the default. Throws ParamError, also for a mandatory one that is
   * missing, unless `describeOnly`.
   */
  completeValues(given: ReadonlyMap<string, string>, describeOnly = false): Map<string, string> {
    const values = new Map<string, string>();
    for (const param of this.params) {
      const value =
        given.get(param.key) ??
        this.metadata.paramDefaults[`operator.oci.${param.target.in}.${param.key.toLowerCase()}`];
      if (value === undefined && param.mandatory && !describeOnly) {
        throw new ParamError(`the gadget ${this.name} needs --${param.key}`);
      }
      if (value !== undefined) checkValue(param, value);
      values.set(param.key, value ?? param.defaultValue);
    }
    return values;
  }

  /**
   * Changes what the metadata says, before the gadget is loaded: `programs.NAME.attach_to` → the hook, or
   * `gadget_program_disabled`. Throws GadgetError.
   */
  configure(settings: readonly (readonly [key: string, value: string])[]): void {
    for (const [key, value] of settings) {
      const name = SETTING.exec(key)?.[1]?.toLowerCase();
      const known = this.object.programs.some((program) => program.name.toLowerCase() === name);
      if (name === undefined || !known)
        throw new GadgetError(
          `the Wasm module of gadget ${this.name} sets ${key}, but there is no such program`,
        );
      this.targets.set(name, value);
    }
  }

  /** Parameters of the Wasm module; it also sees the eBPF program's. */
  wasmValues(values: ReadonlyMap<string, string>): [string, string][] {
    return this.params.map((param) => [param.key, values.get(param.key) ?? param.defaultValue]);
  }

  /** The data sources of a run with these values, from `completeValues`. */
  enabledSources(values: ReadonlyMap<string, string>): readonly DataSourceSpec[] {
    return this.sources.filter(({ name }) => this.hasSource(name, values));
  }

  private hasSource(name: string, values: ReadonlyMap<string, string>): boolean {
    return isSo(this.metadata.datasources[name.toLowerCase()]?.enabledBy, values);
  }

  /** Whether the kernel side can filter by mount namespace. */
  get filtersByMntns(): boolean {
    return this.object.maps.some((map) => map.name === MNTNS_FILTER_MAP);
  }

  /**
   * Brings the programs into the kernel, with `values` from `completeValues`. With `filterMap` only events of the
   * mount namespaces in it come. `unwanted`: switches whose fields are not collected. The gadget is used up. Rejects
   * with BpfError or GadgetError.
   */
  async load(
    values: ReadonlyMap<string, string>,
    filterMap: BpfMap | undefined,
    unwanted: readonly string[] = [],
  ): Promise<LoadedGadget> {
    if (!hasKernelBtf()) {
      throw new GadgetError(
        `this kernel does not show its types in ${KERNEL_BTF_PATH}; it must be built with CONFIG_DEBUG_INFO_BTF`,
      );
    }
    const enabled = new Set(
      this.object.programs.map(({ name }) => name).filter((name) => this.isEnabled(name, values)),
    );
    const tracers = this.schema.tracers.filter(({ dataSource }) => this.hasSource(dataSource, values));
    const buffers = this.bufferSizes(values);
    const notes: string[] = [];
    for (let object = this.object; ; object = ObjectSpec.open(this.ebpf, this.name, { trusted: true })) {
      try {
        this.prepare(object, values, filterMap, enabled);
        for (const name of unwanted) this.setVariable(object, SWITCH_MARK + name, Uint8Array.of(0));
        for (const { map, sizeBytes, count } of buffers) {
          object.setValueSize(map, sizeBytes);
          object.setMaxEntries(map, count);
        }
        const loaded = await object.load();
        return new LoadedGadget(loaded, enabled, tracers, this.metadata, this.targets, buffers, notes);
      } catch (error) {
        object.close();
        // A kernel that lacks what an optional program needs runs the gadget without it.
        const program = isOfKernel(error) ? error.program : undefined;
        if (program === undefined || !(this.metadata.programs[program.toLowerCase()]?.optional ?? false))
          throw error;
        if (!enabled.delete(program)) throw error;
        notes.push((error as Error).message);
      }
    }
  }

  /** Throws ParamError for buffers that would be too large. */
  private bufferSizes(values: ReadonlyMap<string, string>): BufferSize[] {
    const { maps } = this.object;
    const rings = this.schema.tracers.map(
      ({ map }) => maps.find(({ name }) => name === map)?.maxEntries ?? 0,
    );
    return this.schema.buffers.map(({ map, variable }) => {
      const spec = maps.find(({ name }) => name === map);
      const param = this.params.find(({ target }) => target.in === 'ebpf' && target.variable === variable)!;
      if (spec === undefined)
        throw new GadgetError(`the eBPF object of gadget ${this.name} has no map ${map} for its buffers`);
      const extraBytes = Number(values.get(param.key) ?? param.defaultValue);
      return bufferSize(spec, param.key, extraBytes, { cpus: cpuNumbersEnd(), ringBytes: rings });
    });
  }

  /** Writes parameters, shares the filter map, leaves out programs and maps that are not enabled. */
  private prepare(
    object: ObjectSpec,
    values: ReadonlyMap<string, string>,
    filterMap: BpfMap | undefined,
    enabled: ReadonlySet<string>,
  ): void {
    for (const param of this.params) {
      const target = param.target;
      if (target.in !== 'ebpf') continue;
      const variable = this.schema.params.find(({ name }) => name === target.variable)!;
      const bytes = encodeValue(param, values.get(param.key) ?? param.defaultValue, variable.sizeBytes);
      object.setInitialValue(variable.section, variable.offset, bytes.subarray(0, variable.sizeBytes));
    }
    if (filterMap !== undefined && this.filtersByMntns) {
      object.reuseMap(MNTNS_FILTER_MAP, filterMap.fd);
      this.setVariable(object, MNTNS_FILTER_SWITCH, Uint8Array.of(1));
    }
    this.setVariable(object, BOOT_TO_EPOCH, new Uint8Array(BigUint64Array.of(bootToEpochNs()).buffer));
    for (const { name, section } of object.programs) {
      const target = this.targets.get(name.toLowerCase());
      if (!enabled.has(name)) object.setAutoload(name, false);
      else if (target !== undefined && isTracing(section)) object.setAttachTarget(name, target);
    }
    for (const { name } of object.maps) if (!this.hasMap(name, values)) object.leaveOutMap(name);
  }

  /** Does nothing where there is no such variable. */
  private setVariable(object: ObjectSpec, name: string, bytes: Uint8Array): void {
    const variable = this.schema.variables.get(name);
    if (variable !== undefined) object.setInitialValue(variable.section, variable.offset, bytes);
  }

  private hasMap(map: string, values: ReadonlyMap<string, string>): boolean {
    const source = this.schema.tracers.find((tracer) => tracer.map === map)?.dataSource;
    if (source !== undefined && !this.hasSource(source, values)) return false;
    return isSo(this.metadata.maps[map.toLowerCase()]?.enabledBy, values);
  }

  /** The ELF sections of the programs that `values` enable: their hooks. */
  enabledSections(values: ReadonlyMap<string, string>): string[] {
    return this.object.programs
      .filter(({ name }) => this.isEnabled(name, values))
      .map(({ section }) => section);
  }

  private isEnabled(program: string, values: ReadonlyMap<string, string>): boolean {
    const words = this.metadata.programs[program.toLowerCase()];
    if (this.targets.get(program.toLowerCase()) === DISABLED) return false;
    return isSo(words?.enabledBy, values);
  }

  close(): void {
    this.object.close();
  }
}

function isSo(enabledBy: EnabledBy | undefined, values: ReadonlyMap<string, string>): boolean {
  return Object.entries(enabledBy ?? {}).every(([key, value]) => values.get(key) === value);
}

/** Whether it is the kernel that lacks or refuses something, whoever asks for it. */
function isOfKernel(error: unknown): error is BpfError {
  if (error instanceof PermissionError) return error.capabilities.length === 0;
  return error instanceof NotSupportedByKernelError;
}

function isTracing(section: string): boolean {
  return TRACING_KINDS.has(section.replace(/^\?/, '').split(/[/.]/, 1)[0]!);
}

export class LoadedGadget {
  readonly rings: readonly Ring[];
  /** Names of the rings' maps. */
  readonly ringNames: readonly string[];
  /** Of the losses, those by --fair, until closed; undefined without that. */
  readonly heldBack: HeldBackCounters | undefined;
  /** All maps of the object, with the descriptors by which the Wasm module's thread reaches them. */
  readonly maps: readonly SharedMap[];
  private readonly object: BpfObject;
  private readonly enabled: ReadonlySet<string>;
  private readonly metadata: Metadata;
  private readonly targets: ReadonlyMap<string, string>;
  private readonly notes: readonly string[];
  private readonly lossCounters: readonly { cause: string; map: BpfMap }[];
  private readonly links: Link[] = [];
  private finalLosses: Map<string, number> | undefined;

  /** `tracers`: those that run. `targets`: hooks in place of the sections'. `notes`: sentences on optional programs that could not be loaded. */
  constructor(
    object: BpfObject,
    enabled: ReadonlySet<string>,
    tracers: EbpfSchema['tracers'],
    metadata: Metadata,
    targets: ReadonlyMap<string, string>,
    buffers: readonly BufferSize[],
    notes: readonly string[],
  ) {
    this.notes = notes;
    this.targets = targets;
    this.object = object;
    this.enabled = enabled;
    this.metadata = metadata;
    const recordBytes =
      buffers.length === 0 ? undefined : Math.max(...buffers.map(({ sizeBytes }) => sizeBytes));
    this.rings = tracers.map((tracer, source) => {
      const map = object.map(tracer.map);
      return { source, fd: map.fd, sizeBytes: map.maxEntries, recordBytes };
    });
    this.ringNames = tracers.map(({ map }) => map);
    this.maps = object.maps.map(({ name, type, keySize, valueSize, maxEntries, fd }) => {
      return { name, type, keySize, valueSize, maxEntries, fd };
    });
    const rings = new Set(tracers.map((tracer) => tracer.map));
    this.lossCounters = object.maps.flatMap((map) => {
      const name = LOSS_COUNTER.exec(map.name)?.[1];
      return name === undefined
        ? []
        : [{ cause: rings.has(name) ? 'ring buffer full' : `${name} full`, map }];
    });
    this.heldBack = HeldBackCounters.of(object);
  }

  /**
   * Attaches every enabled program. Returns a sentence for each optional one that this kernel has no hook for.
   * Throws BpfError; what was attached until then is detached by `close`.
   */
  attach(): string[] {
    const notes = [...this.notes];
    for (const program of this.object.programs) {
      if (!this.enabled.has(program.name)) continue;
      try {
        const target = this.targets.get(program.name.toLowerCase());
        const elsewhere = target !== undefined && !isTracing(program.section);
        this.links.push(program.attach(elsewhere ? { target } : {}));
      } catch (error) {
        const optional = this.metadata.programs[program.name.toLowerCase()]?.optional ?? false;
        if (!(optional && isOfKernel(error))) throw error;
        notes.push(error.message);
      }
    }
    return notes;
  }

  /** Events the kernel side could not send, by cause. */
  losses(): Map<string, number> {
    if (this.finalLosses !== undefined) return this.finalLosses;
    const losses = new Map<string, number>();
    const key = new Uint8Array(4);
    for (const { cause, map } of this.lossCounters) {
      losses.set(cause, (losses.get(cause) ?? 0) + Number(map.sumPerCpuU64(key)));
    }
    if (this.heldBack !== undefined) losses.set('held back by --fair', this.heldBack.total());
    return losses;
  }

  /** What the kernel has counted of the programs' runs, by their names. Not after `close`. */
  runs(): Map<string, ProgramRuns> {
    return new Map(this.object.programs.map((program) => [program.name, program.runs()]));
  }

  /** How often the kernel passed programs over, by their names; only those that it did. Not after `close`. */
  passedOver(): Map<string, number> {
    const programs = [...this.runs()].map(([name, { misses }]) => [name, misses] as const);
    return new Map(programs.filter(([, misses]) => misses > 0));
  }

  /** Detaches the programs and waits for the end of those that run; the rings keep what they hold. */
  detach(): void {
    for (const link of this.links.splice(0)) link.close();
    waitForPrograms();
  }

  /** Detaches and frees everything. `losses` still answers. */
  close(): void {
    try {
      this.finalLosses = this.losses();
    } catch (error) {
      if (!(error instanceof BpfError)) throw error;
    }
    this.object.close();
  }
}
