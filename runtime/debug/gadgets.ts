// Which of the built-in gadgets find their hooks here.

import { parseSection } from '../../bpf/attach/index.js';
import { isKernelSymbol } from '../../bpf/attach/kprobe.js';
import { tracepointId } from '../../bpf/attach/tracepoint.js';
import { type KernelType, kernelTypeIds } from '../../bpf/features.js';
import { ObjectSpec } from '../../bpf/index.js';
import { ociArchitecture } from '../../oci/descriptor.js';
import { readGadgetImage } from '../../oci/gadget-image.js';
import type { Descriptor } from '../../oci/descriptor.js';
import type { Layout } from '../../oci/layout.js';
import { parseReference } from '../../oci/reference.js';
import { isArtefact } from '../../oci/referrers.js';
import { builtinLayout } from '../open-image.js';
import { type Row, type Verdict, no, refusal, rowsOf, sentence, unknown, yes } from './row.js';

/** A line per gadget, judged by those of group `program`. */
export async function gadgetRows(programs: readonly Row[]): Promise<Row[]> {
  const layout = builtinLayout();
  const verdicts: Record<string, Verdict> = {};
  for (const { reference, descriptor } of await layout.list()) {
    if (reference === undefined || isArtefact(descriptor)) continue;
    verdicts[parseReference(reference).name] = await gadgetVerdict(layout, descriptor, programs);
  }
  return rowsOf('gadget', verdicts);
}

async function gadgetVerdict(
  layout: Layout,
  descriptor: Descriptor,
  programs: readonly Row[],
): Promise<Verdict> {
  try {
    const { ebpf } = await readGadgetImage(layout, descriptor, { architecture: ociArchitecture() });
    return ebpf === undefined ? yes('needs no hook') : hooksVerdict(sectionsOf(ebpf), programs);
  } catch (error) {
    return unknown(sentence(error));
  }
}

function sectionsOf(ebpf: Uint8Array): string[] {
  const spec = ObjectSpec.open(ebpf, 'gadget');
  try {
    return [...new Set(spec.programs.map(({ section }) => section.replace(/^\?/, '')))];
  } finally {
    spec.close();
  }
}

/** The worst of its hooks. */
export function hooksVerdict(sections: readonly string[], programs: readonly Row[]): Verdict {
  const found = sections.map((section) => [section, hookVerdict(section, programs)] as const);
  for (const state of ['no', 'unknown'] as const) {
    const bad = found.filter(([, verdict]) => verdict.state === state);
    const details = new Set(bad.map(([, { detail }]) => detail));
    const reasons = [...details].map((detail) => {
      const sections = bad.filter(([, verdict]) => verdict.detail === detail).map(([section]) => section);
      return `${sections.join(', ')}: ${detail}`;
    });
    if (reasons.length > 0) return { state, detail: reasons.join('; ') };
  }
  return yes(`all its hooks are there: ${sections.join(', ')}`);
}

/** Kinds that have more than one name. */
const ALIASES: Readonly<Record<string, string>> = {
  tp: 'tracepoint',
  raw_tracepoint: 'raw_tp',
  ksyscall: 'kprobe',
};

function hookVerdict(section: string, programs: readonly Row[]): Verdict {
  const { kind, target } = parseSection(section);
  const name = ALIASES[kind] ?? kind;
  const ofKind = programs.find(({ what }) => what === name || what === section);
  if (ofKind === undefined) return unknown('it was not tried whether the kernel has such hooks');
  if (ofKind.state !== 'yes') return ofKind;
  try {
    return isThere(name, target) ? yes() : no('the kernel has no such hook');
  } catch (error) {
    return refusal(error);
  }
}

/** Whether the kernel has the hook; true where only attaching could tell. */
function isThere(kind: string, target: string): boolean {
  if (kind === 'tracepoint') return tracepointId(target) !== undefined;
  if (kind === 'kprobe' || kind === 'kretprobe') return isKernelSymbol(target.replace(/\+.*/, ''));
  const type = typeOf(kind, target);
  return type === undefined || kernelTypeIds([type])[0] !== 0;
}

/** What the kernel's BTF calls the hook. */
function typeOf(kind: string, target: string): KernelType | undefined {
  switch (kind) {
    case 'raw_tp':
    case 'tp_btf':
      return { kind: 'typedef', name: `btf_trace_${target}` };
    case 'fentry':
    case 'fexit':
    case 'fmod_ret':
      return { kind: 'func', name: target };
    case 'lsm':
      return { kind: 'func', name: `bpf_lsm_${target}` };
    case 'iter':
      return { kind: 'func', name: `bpf_iter_${target}` };
    default:
      return undefined;
  }
}
