/**
 * Which maps each program of an object uses: those that its instructions, and the functions it calls, refer to.
 *
 * References are relocations; how an instruction names what it refers to is written out in
 * https://docs.kernel.org/bpf/llvm_reloc.html and https://docs.kernel.org/bpf/standardization/instruction-set.html.
 */
import { type Elf, type ElfSymbol, SHF_EXECINSTR, STT_FUNC } from '../../bpf/index.js';
import { InspectError } from './errors.js';

const INSTRUCTION_SIZE = 8;
/** `dst = imm64`, of two slots; and `call`. */
const LD_IMM64 = 0x18;
const CALL = 0x85;
/** The source register of a call of a function of the object, not of a helper. */
const PSEUDO_CALL = 1;

const MAX_FUNCTIONS = 4096;
/** Four times what the kernel takes for one program. */
const MAX_INSTRUCTIONS = 4_000_000;

interface Use {
  readonly maps: Set<string>;
  readonly calls: Set<ElfSymbol>;
}

/** By function name (a program's name is its function's): the maps it uses, also through calls, sorted. */
export function mapsByFunction(elf: Elf): Map<string, string[]> {
  const functions = elf.symbols.filter(({ type, section }) => type === STT_FUNC && isCode(elf, section));
  if (functions.length > MAX_FUNCTIONS) throw tooLarge(`more than ${MAX_FUNCTIONS} functions`);
  const uses = directUses(elf, functions);
  return new Map(functions.map((symbol) => [symbol.name, [...reachable(symbol, uses)].sort()]));
}

function directUses(elf: Elf, functions: readonly ElfSymbol[]): Map<ElfSymbol, Use> {
  const byPlace = new Map(functions.map((symbol) => [placeOf(symbol.section, symbol.value), symbol]));
  const budget = { instructions: MAX_INSTRUCTIONS };
  return new Map(functions.map((symbol) => [symbol, scan(elf, symbol, { byPlace, budget })]));
}

interface Lookup {
  readonly byPlace: ReadonlyMap<string, ElfSymbol>;
  readonly budget: { instructions: number };
}

function placeOf(section: number, offset: number): string {
  return `${section}:${offset}`;
}

function scan(elf: Elf, symbol: ElfSymbol, { byPlace, budget }: Lookup): Use {
  const use: Use = { maps: new Set(), calls: new Set() };
  const { bytes } = elf.sections[symbol.section]!;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const relocations = elf.relocations.get(symbol.section);
  const end = Math.min(symbol.value + symbol.sizeBytes, bytes.length - INSTRUCTION_SIZE + 1);
  for (let at = symbol.value; at < end; at += INSTRUCTION_SIZE) {
    if (budget.instructions-- <= 0) throw tooLarge(`more than ${MAX_INSTRUCTIONS} instructions`);
    const opcode = view.getUint8(at);
    if (opcode !== LD_IMM64 && opcode !== CALL) continue;
    const source = view.getUint8(at + 1) >> 4;
    const imm = view.getInt32(at + 4, true);
    const target = relocations?.get(at);
    if (opcode === CALL && source === PSEUDO_CALL) {
      // Counted in instructions from the one behind the call, or with a relocation from before the symbol.
      const [section, from] = target === undefined ? [symbol.section, at] : [target.section, target.value];
      addCall(use, byPlace.get(placeOf(section, from + (imm + 1) * INSTRUCTION_SIZE)));
    } else if (opcode === LD_IMM64 && target !== undefined) {
      const place = placeOf(target.section, target.value + imm);
      if (isCode(elf, target.section)) addCall(use, byPlace.get(place));
      else addMap(use, elf, target);
    }
    if (opcode === LD_IMM64) at += INSTRUCTION_SIZE;
  }
  return use;
}

function addCall(use: Use, called: ElfSymbol | undefined): void {
  if (called !== undefined) use.calls.add(called);
}

function isCode(elf: Elf, section: number): boolean {
  return ((elf.sections[section]?.flags ?? 0) & SHF_EXECINSTR) !== 0;
}

/** A map of its own goes by its symbol; variables are in the map of their section. */
function addMap(use: Use, elf: Elf, target: ElfSymbol): void {
  const section = elf.sections[target.section]?.name ?? '';
  if (section === '.maps') use.maps.add(target.name);
  else if (/^\.(rodata|data|bss)(\.|$)/.test(section)) use.maps.add(section);
}

function reachable(from: ElfSymbol, uses: ReadonlyMap<ElfSymbol, Use>): Set<string> {
  const maps = new Set<string>();
  const seen = new Set([from]);
  for (const symbol of seen) {
    const use = uses.get(symbol);
    use?.maps.forEach((map) => maps.add(map));
    use?.calls.forEach((called) => seen.add(called));
  }
  return maps;
}

function tooLarge(what: string): InspectError {
  return new InspectError(`the eBPF object cannot be read: it has ${what}`);
}
