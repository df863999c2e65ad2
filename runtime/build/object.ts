// What the object of a gadget declares, which its gadget.yaml has to fit: data sources, parameters, programs, maps.

import { ObjectSpec, parseBtf } from '../../bpf/index.js';
import { type EbpfSchema, SWITCH_MARK, readEbpfSchema } from '../gadget/ebpf-schema.js';
import { type Param, ebpfParam } from '../gadget/params.js';
import { BuildError } from './errors.js';

export interface ObjectFacts {
  readonly tracers: EbpfSchema['tracers'];
  /** As they are without gadget.yaml. */
  readonly params: readonly Param[];
  /** Names of programs. */
  readonly programs: readonly string[];
  /** Names of maps. */
  readonly maps: readonly string[];
  /** Names of switches, GADGET_WANTED. */
  readonly switches: readonly string[];
}

/** A gadget without eBPF part. */
export const NO_OBJECT: ObjectFacts = { tracers: [], params: [], programs: [], maps: [], switches: [] };

/** Reads an object; `name` is for messages. Throws BpfError, GadgetError or BuildError. */
export function readObject(bytes: Uint8Array, name: string): ObjectFacts {
  const object = ObjectSpec.open(bytes, name);
  try {
    if (object.btf.length === 0) {
      throw new BuildError(`the eBPF object of gadget ${name} has no BTF; compile it with -g`);
    }
    const { tracers, params, variables } = readEbpfSchema(parseBtf(object.btf));
    return {
      tracers,
      params: params.map(({ name: variable, type, sizeBytes, section, offset }) => {
        const initial = object.initialValue(section).subarray(offset, offset + sizeBytes);
        return ebpfParam(variable, type, sizeBytes, initial);
      }),
      programs: object.programs.map((program) => program.name),
      maps: object.maps.map((map) => map.name),
      switches: [...variables.keys()].flatMap((variable) =>
        variable.startsWith(SWITCH_MARK) ? [variable.slice(SWITCH_MARK.length)] : [],
      ),
    };
  } finally {
    object.close();
  }
}
