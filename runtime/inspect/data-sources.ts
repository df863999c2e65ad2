/** The data sources of a gadget as its types and its metadata tell: also of forms that this version cannot run. */
import type { Btf, BtfType } from '../../bpf/index.js';
import type { Annotations } from '../data/field.js';
import type { Kind } from '../data/kind.js';
import type { RecordFieldSpec } from '../data/spec.js';
import { fieldsOf } from '../gadget/ebpf-schema.js';
import type { Metadata } from '../gadget/metadata.js';
import { InspectError } from './errors.js';

export interface DataSourceInfo {
  readonly name: string;
  /** What makes its records: a ring buffer, iterator programs, or the entries of a map. */
  readonly from: 'tracer' | 'iterator' | 'map';
  /** That its records come through, or that it is read from. */
  readonly map?: string;
  /** Iterators that write it. */
  readonly programs?: readonly string[];
  readonly annotations: Annotations;
  readonly tags: readonly string[];
  readonly fields: readonly FieldInfo[];
}

export interface FieldInfo {
  readonly name: string;
  readonly kind: Kind | `${Kind}[${number}]`;
  /** In the record. */
  readonly offset: number;
  readonly sizeBytes: number;
  readonly tags: readonly string[];
  readonly annotations: Annotations;
}

type Struct = Extract<BtfType, { kind: 'struct' | 'union' }>;

/** Those that the object declares. Throws InspectError or GadgetError for one that names what is not there. */
export function dataSourcesOf(btf: Btf, metadata: Metadata): DataSourceInfo[] {
  return btf.variables.flatMap(({ name }) => {
    const declared = /^gadget_(tracer|iter|snapshotter|mapiter)_(.*)$/.exec(name);
    if (declared === null) return [];
    const [dataSource = '', ...rest] = declared[2]!.split('___');
    const [first, second, ...others] = rest;
    switch (declared[1]) {
      case 'tracer':
        return describe(dataSource, 'tracer', { map: first! }, recordFields(btf, second, name), metadata);
      case 'mapiter':
        return describe(dataSource, 'map', { map: first! }, entryFields(btf, first, name), metadata);
      default: {
        const programs = second === undefined ? [] : [second, ...others];
        return describe(dataSource, 'iterator', { programs }, recordFields(btf, first, name), metadata);
      }
    }
  });
}

function recordFields(btf: Btf, struct: string | undefined, declaration: string): RecordFieldSpec[] {
  const type = struct === undefined ? undefined : btf.find('struct', struct);
  if (type === undefined) throw misdeclared(declaration, `no struct ${struct ?? ''}`);
  return fieldsOf(btf, type);
}

/** The key's, then the value's, each in a place of its own. */
function entryFields(btf: Btf, map: string | undefined, declaration: string): RecordFieldSpec[] {
  const [key, value] = ['key', 'value'].map((part) => entryStruct(btf, map, part));
  if (key === undefined || value === undefined)
    throw misdeclared(declaration, `no map ${map ?? ''} of structs`);
  const keys = fieldsOf(btf, key).map((field) => ({ ...field, tags: [...field.tags, 'role:key'] }));
  return [
    ...keys,
    ...fieldsOf(btf, value).map((field) => ({ ...field, offset: key.sizeBytes + field.offset })),
  ];
}

/** A map is declared as a struct whose members `key` and `value` point to the types of its entries. */
function entryStruct(btf: Btf, map: string | undefined, part: string): Struct | undefined {
  const variable = btf.variables.find(({ name, section }) => name === map && section === '.maps');
  const definition = variable === undefined ? undefined : btf.resolve(variable.type).type;
  if (definition?.kind !== 'struct') return undefined;
  const member = definition.members.find(({ name }) => name === part);
  const pointer = member === undefined ? undefined : btf.resolve(member.type).type;
  const type = pointer?.kind === 'ptr' ? btf.resolve(pointer.target).type : undefined;
  return type?.kind === 'struct' ? type : undefined;
}

function describe(
  name: string,
  from: DataSourceInfo['from'],
  made: Pick<DataSourceInfo, 'map' | 'programs'>,
  fields: readonly RecordFieldSpec[],
  metadata: Metadata,
): DataSourceInfo {
  const words = metadata.datasources[name.toLowerCase()];
  return {
    name,
    from,
    ...made,
    annotations: words?.annotations ?? {},
    tags: words?.tags ?? [],
    fields: fields.map(({ fullName, kind, length, offset, size, tags, annotations }) => {
      const more = words?.fields[fullName.toLowerCase()];
      return {
        name: fullName,
        kind: length === 1 ? kind : (`${kind}[${length}]` as const),
        offset,
        sizeBytes: size,
        tags: [...tags, ...(more?.tags ?? [])],
        annotations: { ...annotations, ...more?.annotations },
      };
    }),
  };
}

function misdeclared(declaration: string, why: string): InspectError {
  return new InspectError(`the eBPF object declares ${declaration}, but has ${why}`);
}
