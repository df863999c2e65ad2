// What a data source is before it runs: plain data, made from BTF and metadata, posted to the pipeline's worker.

import { DataSource, type DataSourceType } from './data-source.js';
import type { Annotations } from './field.js';
import type { Kind } from './kind.js';

/** A field that the kernel side fills. */
export interface RecordFieldSpec {
  readonly fullName: string;
  readonly kind: Kind;
  readonly length: number;
  readonly place: 'record' | 'tail' | 'nowhere';
  /** From the start of the record, in bytes. */
  readonly offset: number;
  readonly size: number;
  readonly tags: readonly string[];
  /** What its type says of its look; the gadget's metadata goes before. */
  readonly annotations: Annotations;
}

export interface DataSourceSpec {
  readonly name: string;
  readonly type: DataSourceType;
  /** Size in bytes of the struct that every record starts with. */
  readonly recordSize: number;
  readonly annotations: Annotations;
  readonly fields: readonly RecordFieldSpec[];
  /** Annotations of fields, also of those that operators add later; by lower-cased full name. */
  readonly fieldAnnotations: Readonly<Record<string, Annotations>>;
}

/** The data source with its kernel-side fields; operators add theirs. */
export function makeDataSource(spec: DataSourceSpec): DataSource {
  const source = new DataSource(
    spec.name,
    spec.type,
    spec.recordSize,
    spec.annotations,
    spec.fieldAnnotations,
  );
  for (const field of spec.fields) {
    source.addField({
      fullName: field.fullName,
      kind: field.kind,
      length: field.length,
      tags: field.tags,
      annotations: field.annotations,
      location:
        field.place === 'record'
          ? { in: 'record', offset: field.offset, size: field.size }
          : field.place === 'tail'
            ? { in: 'tail', offset: field.offset }
            : { in: 'nowhere' },
    });
  }
  return source;
}
