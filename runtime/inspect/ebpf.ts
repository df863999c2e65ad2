/** What the eBPF object of an image holds: sections, programs, maps, variables, data sources; nothing is loaded. */
import {
  type Btf,
  type BtfVariable,
  type Elf,
  type MapSpec,
  ObjectSpec,
  SHF_EXECINSTR,
  SHT,
  parseBtf,
  readElf,
} from '../../bpf/index.js';
import type { Metadata } from '../gadget/metadata.js';
import { typeName } from './c-type.js';
import { type DataSourceInfo, dataSourcesOf } from './data-sources.js';
import { mapsByFunction } from './map-use.js';

export interface EbpfInfo {
  readonly sections: readonly SectionInfo[];
  readonly programs: readonly ProgramInfo[];
  readonly maps: readonly MapSpec[];
  readonly variables: readonly VariableInfo[];
  readonly datasources: readonly DataSourceInfo[];
}

export interface SectionInfo {
  readonly name: string;
  readonly sizeBytes: number;
  readonly executable: boolean;
}

export interface ProgramInfo {
  readonly name: string;
  readonly section: string;
  /** As libbpf names it. */
  readonly type: string;
  readonly attachTo?: string;
  /** Those that it or a function it calls refers to. */
  readonly maps: readonly string[];
}

export interface VariableInfo {
  readonly name: string;
  readonly section: string;
  /** As C has it: `const volatile bool`. */
  readonly type: string;
  readonly offset: number;
  readonly sizeBytes: number;
}

/** Throws BpfError or GadgetError: what is wrong with the object. */
export function inspectEbpf(bytes: Uint8Array, name: string, metadata: Metadata): EbpfInfo {
  const elf = readElf(bytes);
  const object = ObjectSpec.open(bytes, name);
  try {
    const uses = mapsByFunction(elf);
    const programs = object.programs.map((spec) => ({ ...spec, maps: uses.get(spec.name) ?? [] }));
    const btf = object.btf.length === 0 ? undefined : parseBtf(object.btf);
    return {
      sections: sectionsOf(elf),
      programs,
      maps: object.maps,
      variables: btf === undefined ? [] : variablesOf(btf),
      datasources: btf === undefined ? [] : dataSourcesOf(btf, metadata),
    };
  } finally {
    object.close();
  }
}

function sectionsOf({ sections }: Elf): SectionInfo[] {
  return sections
    .filter(({ name, type }) => name !== '' && (type === SHT.progbits || type === SHT.nobits))
    .map(({ name, sizeBytes, flags }) => ({ name, sizeBytes, executable: (flags & SHF_EXECINSTR) !== 0 }));
}

function variablesOf(btf: Btf): VariableInfo[] {
  return btf.variables
    .filter((variable) => isValue(btf, variable))
    .map(({ name, section, type, offset, sizeBytes }) => {
      return { name, section, type: typeName(btf, type), offset, sizeBytes };
    });
}

/** What a program reads or writes; not maps, nor the variables whose names alone say something to the runtime. */
function isValue(btf: Btf, { name, section, type }: BtfVariable): boolean {
  if (!/^\.(rodata|data|bss)(\.|$)/.test(section)) return false;
  return !(/^(__)?gadget_/.test(name) && btf.resolve(type).type.kind === 'ptr');
}
