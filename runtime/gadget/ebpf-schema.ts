// What an eBPF object says about itself by its BTF: data sources, their fields, parameters. No table of ours is asked.
//
// The conventions are those of the peer's macros: a global `const void *` variable whose name carries the data,
// parts separated by `___` (bpf/include/gadget/macros.h).

import type { Btf, BtfType, BtfVariable } from '../../bpf/btf.js';
import type { DataSourceType } from '../data/data-source.js';
import type { Annotations } from '../data/field.js';
import { type Kind, isFixed, widthOf } from '../data/kind.js';
import { isName } from '../data/name.js';
import type { RecordFieldSpec } from '../data/spec.js';
import type { BufferSpec } from './buffers.js';
import { GadgetError } from './errors.js';
import type { ParamType } from './params.js';

/** A stream of records: GADGET_TRACER(dataSource, map, struct). */
export interface TracerSpec {
  readonly dataSource: string;
  readonly type: DataSourceType;
  readonly map: string;
  readonly recordSize: number;
  readonly fields: readonly RecordFieldSpec[];
}

/** A `const volatile` variable that takes a parameter. */
export interface ParamVariable {
  readonly name: string;
  readonly type: ParamType;
  /** ELF section and place in it, in bytes. */
  readonly section: string;
  readonly offset: number;
  readonly sizeBytes: number;
}

export interface EbpfSchema {
  readonly tracers: readonly TracerSpec[];
  readonly params: readonly ParamVariable[];
  readonly buffers: readonly BufferSpec[];
  /** Variables by name, for those that the runtime sets itself (`gadget_filter_by_mntns`). */
  readonly variables: ReadonlyMap<string, BtfVariable>;
}

/** Variables (bool) by which fields are collected, or not: bpf/include/gadget/wanted.h. */
export const SWITCH_MARK = 'gadget_wanted_';
const BUFFER_MARK = 'gadget_per_cpu_buffer_';
const MAX_FIELDS = 1000;
const MAX_DEPTH = 8;

/** Finds data sources and parameters. Throws GadgetError for declarations that name what is not there. */
export function readEbpfSchema(btf: Btf): EbpfSchema {
  const variables = new Map(btf.variables.map((variable) => [variable.name, variable]));
  const tracers: TracerSpec[] = [];
  const params: ParamVariable[] = [];
  const buffers: BufferSpec[] = [];
  for (const { name } of btf.variables) {
    if (name.startsWith('gadget_tracer_')) {
      const [dataSource, map, struct] = name.slice('gadget_tracer_'.length).split('___');
      if (dataSource === undefined || map === undefined || struct === undefined) {
        throw new GadgetError(`the eBPF variable ${name} is no GADGET_TRACER(name, map, struct)`);
      }
      if (!isName(dataSource))
        throw new GadgetError('the eBPF object has a data source that has no fit name');
      tracers.push({ dataSource, type: 'single', map, ...readStruct(btf, struct) });
    } else if (name.startsWith('gadget_param_')) {
      params.push(readParam(btf, variables, name.slice('gadget_param_'.length)));
    } else if (name.startsWith(BUFFER_MARK)) {
      buffers.push(readBuffer(name));
    } else if (/^gadget_(iter|snapshotter|mapiter)_/.test(name)) {
      throw new GadgetError(`this version of ig cannot run gadgets with iterators yet (${name})`);
    }
  }
  for (const { variable } of buffers) {
    if (!params.some(({ name, type }) => name === variable && /^u?int/.test(type)))
      throw new GadgetError(
        `${variable}, the size of a GADGET_PER_CPU_BUFFER, is no parameter that is a number`,
      );
  }
  return { tracers, params, buffers, variables };
}

function readBuffer(mark: string): BufferSpec {
  const [map, variable] = mark.slice(BUFFER_MARK.length).split('___');
  if (map === undefined || variable === undefined)
    throw new GadgetError(`the eBPF variable ${mark} is no GADGET_PER_CPU_BUFFER(name, size, count, param)`);
  return { map, variable };
}

function readParam(btf: Btf, variables: ReadonlyMap<string, BtfVariable>, name: string): ParamVariable {
  const variable = variables.get(name);
  if (variable === undefined) {
    throw new GadgetError(`the eBPF object declares the parameter ${name} but has no variable of that name`);
  }
  return {
    name,
    type: paramType(btf, variable),
    section: variable.section,
    offset: variable.offset,
    sizeBytes: btf.sizeOf(variable.type),
  };
}

function paramType(btf: Btf, variable: BtfVariable): ParamType {
  const { type } = btf.resolve(variable.type);
  if (type.kind === 'array' && isChar(btf, type.element)) return 'string';
  if (type.kind === 'struct' && type.name === 'gadget_l3endpoint_t') return 'ip';
  const kind = scalarKind(type);
  if (kind === undefined)
    throw new GadgetError(`the type of the eBPF parameter ${variable.name} is not supported`);
  return kind as ParamType;
}

function readStruct(btf: Btf, name: string): { recordSize: number; fields: RecordFieldSpec[] } {
  const struct = btf.find('struct', name);
  if (struct === undefined) throw new GadgetError(`the eBPF object has no struct ${name} for its events`);
  const fields = fieldsOf(btf, struct);
  if (new Set(fields.map(({ fullName }) => fullName)).size < fields.length)
    throw new GadgetError(`struct ${name} has two members of one name`);
  return { recordSize: struct.sizeBytes, fields };
}

type Struct = Extract<BtfType, { kind: 'struct' | 'union' }>;

/** The fields that a record's struct gives, in the order of its members. Throws GadgetError for too many. */
export function fieldsOf(btf: Btf, struct: Struct): RecordFieldSpec[] {
  const fields: RecordFieldSpec[] = [];
  addMembers(btf, struct, '', 0, 0, fields);
  return fields;
}

function addMembers(
  btf: Btf,
  struct: Struct,
  prefix: string,
  base: number,
  depth: number,
  out: RecordFieldSpec[],
): void {
  if (depth > MAX_DEPTH || out.length > MAX_FIELDS)
    throw new GadgetError(`the struct of the events is too deep or too large`);
  for (const member of struct.members) {
    if (member.name === '' || member.name.startsWith('__') || member.bitSize !== 0) continue;
    const { type, typedefs } = btf.resolve(member.type);
    const offset = base + member.bitOffset / 8;
    const size = btf.sizeOf(member.type);
    const element = type.kind === 'array' ? btf.resolve(type.element) : undefined;
    const shape = shapeOf(btf, type, typedefs);
    if (!isName(prefix + member.name))
      throw new GadgetError(`struct ${struct.name} has a member that has no fit name`);
    // The kernel would refuse such types, but libbpf loads an object without them then.
    if (!Number.isInteger(offset) || member.bitOffset / 8 + Math.max(size, sizeOf(shape)) > struct.sizeBytes)
      throw new GadgetError(`the member ${member.name} of struct ${struct.name} is not within it`);
    const field: RecordFieldSpec = {
      fullName: prefix + member.name,
      offset,
      size,
      ...shape,
      tags: [
        ...[...typedefs, ...(element?.typedefs ?? []), ...structName(type)].map(
          (typedef) => `type:${typedef}`,
        ),
        `name:${member.name}`,
        'src:ebpf',
      ],
      annotations: annotationsOf(struct, member.name, [...typedefs, ...(element?.typedefs ?? [])]),
    };
    out.push(field);
    if ((type.kind === 'struct' || type.kind === 'union') && typedefs.length === 0) {
      addMembers(btf, type, `${field.fullName}.`, offset, depth + 1, out);
    }
  }
}

/** Typedefs whose values have a look of their own: the template of the same name without `gadget_`. */
const TEMPLATED = new Set(
  [
    'comm',
    'pcomm',
    'uid',
    'gid',
    'pid',
    'ppid',
    'tid',
    'ptid',
    'timestamp',
    'mntns_id',
    'netns_id',
    'user_stack',
  ].map((name) => `gadget_${name}`),
);
/** Structs whose members go by short names: proc.pid shows as PID, proc.parent.pid as PPID. */
const ALIAS_PREFIXES: Readonly<Record<string, string>> = {
  gadget_process: '',
  gadget_creds: '',
  gadget_parent: 'p',
};

function annotationsOf(struct: Struct, member: string, typedefs: readonly string[]): Annotations {
  const prefix = ALIAS_PREFIXES[struct.name];
  const template = typedefs.find((typedef) => TEMPLATED.has(typedef))?.slice('gadget_'.length);
  return {
    ...(template === undefined ? {} : { template }),
    ...(prefix === undefined ? {} : { 'columns.alias': prefix + member }),
  };
}

function structName(type: BtfType): string[] {
  return type.kind === 'struct' && type.name !== '' ? [type.name] : [];
}

/** Of a value that stands behind the struct, in the record: u32 offset, u32 size. */
const TAIL_REFERENCE_SIZE = 8;
/** Values that stand behind the struct: bpf/include/gadget/types.h. */
const TAIL_KINDS: Readonly<Record<string, Kind>> = {
  gadget_tail_string: 'string',
  gadget_tail_strings: 'strings',
  gadget_tail_bytes: 'bytes',
};

type Shape = Pick<RecordFieldSpec, 'kind' | 'length' | 'place'>;

/** What is read of a record at the field's offset, in bytes, whatever its type says. */
function sizeOf({ kind, length, place }: Shape): number {
  if (place === 'tail') return TAIL_REFERENCE_SIZE;
  return isFixed(kind) ? widthOf(kind) * length : 0;
}

function shapeOf(btf: Btf, type: BtfType, typedefs: readonly string[]): Shape {
  for (const typedef of typedefs) {
    const tail = TAIL_KINDS[typedef];
    if (tail !== undefined) return { kind: tail, length: 1, place: 'tail' };
  }
  if (type.kind === 'struct' || type.kind === 'union') {
    return typedefs.length === 0
      ? { kind: 'none', length: 1, place: 'nowhere' }
      : { kind: 'bytes', length: 1, place: 'record' };
  }
  if (type.kind === 'array') {
    if (isChar(btf, type.element)) return { kind: 'cstring', length: 1, place: 'record' };
    const element = scalarKind(btf.resolve(type.element).type);
    return element === undefined
      ? { kind: 'bytes', length: 1, place: 'record' }
      : { kind: element, length: type.count, place: 'record' };
  }
  return { kind: scalarKind(type) ?? 'bytes', length: 1, place: 'record' };
}

function isChar(btf: Btf, id: number): boolean {
  const { type } = btf.resolve(id);
  return type.kind === 'int' && type.sizeBytes === 1 && type.name === 'char';
}

function scalarKind(type: BtfType): Kind | undefined {
  switch (type.kind) {
    case 'int': {
      if (type.isBool) return 'bool';
      const bits = type.sizeBytes * 8;
      if (bits !== 8 && bits !== 16 && bits !== 32 && bits !== 64) return undefined;
      return type.isSigned ? `int${bits}` : `uint${bits}`;
    }
    case 'enum':
    case 'enum64': {
      const bits = type.sizeBytes * 8;
      if (bits !== 8 && bits !== 16 && bits !== 32 && bits !== 64) return undefined;
      return type.isSigned ? `int${bits}` : `uint${bits}`;
    }
    case 'ptr':
      return 'uint64';
    case 'float':
      return type.sizeBytes === 4 ? 'float32' : type.sizeBytes === 8 ? 'float64' : undefined;
    default:
      return undefined;
  }
}
