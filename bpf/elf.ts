/**
 * Reads sections, symbols and relocations of an eBPF object's ELF file, from untrusted bytes.
 *
 * Layouts: struct Elf64_Ehdr, Elf64_Shdr, Elf64_Sym and Elf64_Rel of `man 5 elf`.
 */
import { parseBtf } from './btf.js';
import { ElfError } from './errors.js';

/** `sh_type`, and of the low bits of `st_info` a function's, as far as they matter here. */
export const SHT = { progbits: 1, symtab: 2, nobits: 8, rel: 9 } as const;
export const STT_FUNC = 2;
/** `sh_flags`: holds instructions. */
export const SHF_EXECINSTR = 4;

export interface ElfSection {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly sizeBytes: number;
  /** In the file; empty for a section that is all zeros. */
  readonly bytes: Uint8Array;
  readonly link: number;
  readonly info: number;
}

export interface ElfSymbol {
  readonly name: string;
  readonly type: number;
  /** Index of its section; of none in the file for externs. */
  readonly section: number;
  /** Offset in its section. */
  readonly value: number;
  readonly sizeBytes: number;
}

export interface Elf {
  readonly sections: readonly ElfSection[];
  readonly symbols: readonly ElfSymbol[];
  /** Index of a section → offset in it → the symbol that the bytes there refer to. */
  readonly relocations: ReadonlyMap<number, ReadonlyMap<number, ElfSymbol>>;
}

const HEADER_SIZE = 64;
const SECTION_SIZE = 64;
const SYMBOL_SIZE = 24;
const REL_SIZE = 16;
const ELFCLASS64 = 2;
const ELFDATA2LSB = 1;
const MAX_SECTIONS = 10_000;
const MAX_SYMBOLS = 200_000;
const MAX_RELOCATIONS = 2_000_000;
const MAX_NAME_BYTES = 4096;

/**
 * Reads an ELF file; messages begin with `what`. Throws ElfError for what is none, is cut off, or is larger than any
 * compiler makes.
 */
export function readElf(bytes: Uint8Array, what = 'the eBPF object cannot be read'): Elf {
  try {
    return read(bytes);
  } catch (error) {
    if (error instanceof ElfError) error.message = `${what}: ${error.message}`;
    throw error;
  }
}

function read(bytes: Uint8Array): Elf {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER_SIZE || view.getUint32(0) !== 0x7f454c46) throw broken('it is not an ELF file');
  if (bytes[4] !== ELFCLASS64 || bytes[5] !== ELFDATA2LSB) throw broken('it is not 64-bit little-endian ELF');
  const sections = readSections(bytes, view);
  const symtab = sections.find(({ type }) => type === SHT.symtab);
  const symbols = symtab === undefined ? [] : readSymbols(symtab, sections);
  return { sections, symbols, relocations: readRelocations(sections, symbols) };
}

/**
 * Makes sure that libbpf can be given an object from outside: it follows type ids and offsets of names without a look
 * at where they lead, which has crashed it. Throws ElfError or BtfError.
 */
export function checkObject(bytes: Uint8Array, name: string): void {
  for (const section of readElf(bytes, `Cannot open eBPF object ${name}`).sections)
    if (section.name === '.BTF') parseBtf(section.bytes);
}

function readSections(bytes: Uint8Array, view: DataView): ElfSection[] {
  const start = u64(view, 40);
  const count = view.getUint16(60, true);
  if (view.getUint16(58, true) !== SECTION_SIZE || count > MAX_SECTIONS)
    throw broken('its section table is odd');
  if (start + count * SECTION_SIZE > bytes.length)
    throw broken('it is cut off before its section table ends');
  const heads = Array.from({ length: count }, (_, i) => {
    const at = start + i * SECTION_SIZE;
    const [type, offset, sizeBytes] = [view.getUint32(at + 4, true), u64(view, at + 24), u64(view, at + 32)];
    const isInFile = type !== SHT.nobits && type !== 0;
    if (isInFile && offset + sizeBytes > bytes.length) throw broken('a section reaches beyond its end');
    return {
      nameAt: view.getUint32(at, true),
      type,
      flags: u64(view, at + 8),
      sizeBytes,
      bytes: isInFile ? bytes.subarray(offset, offset + sizeBytes) : new Uint8Array(),
      link: view.getUint32(at + 40, true),
      info: view.getUint32(at + 44, true),
    };
  });
  const names = heads[view.getUint16(62, true)]?.bytes ?? new Uint8Array();
  return heads.map(({ nameAt, ...head }) => ({ name: textAt(names, nameAt), ...head }));
}

function readSymbols(symtab: ElfSection, sections: readonly ElfSection[]): ElfSymbol[] {
  const count = Math.floor(symtab.bytes.length / SYMBOL_SIZE);
  if (count > MAX_SYMBOLS) throw broken(`it has more than ${MAX_SYMBOLS} symbols`);
  const names = sections[symtab.link]?.bytes ?? new Uint8Array();
  const view = viewOf(symtab.bytes);
  return Array.from({ length: count }, (_, i) => {
    const at = i * SYMBOL_SIZE;
    return {
      name: textAt(names, view.getUint32(at, true)),
      type: view.getUint8(at + 4) & 0xf,
      section: view.getUint16(at + 6, true),
      value: u64(view, at + 8),
      sizeBytes: u64(view, at + 16),
    };
  });
}

function readRelocations(
  sections: readonly ElfSection[],
  symbols: readonly ElfSymbol[],
): Map<number, Map<number, ElfSymbol>> {
  const all = new Map<number, Map<number, ElfSymbol>>();
  let total = 0;
  for (const { type, info, bytes } of sections) {
    if (type !== SHT.rel) continue;
    total += Math.floor(bytes.length / REL_SIZE);
    if (total > MAX_RELOCATIONS) throw broken(`it has more than ${MAX_RELOCATIONS} relocations`);
    const found = all.get(info) ?? new Map<number, ElfSymbol>();
    const view = viewOf(bytes);
    for (let at = 0; at + REL_SIZE <= bytes.length; at += REL_SIZE) {
      const symbol = symbols[view.getUint32(at + 12, true)];
      if (symbol !== undefined) found.set(u64(view, at), symbol);
    }
    all.set(info, found);
  }
  return all;
}

function textAt(strings: Uint8Array, start: number): string {
  const limit = Math.min(strings.length, start + MAX_NAME_BYTES);
  const end = strings.subarray(0, limit).indexOf(0, start);
  if (start > strings.length || (end < 0 && start < strings.length))
    throw broken('a name in it does not end');
  return Buffer.from(strings.buffer, strings.byteOffset + start, Math.max(end - start, 0)).toString();
}

/** A number that must be one JavaScript counts with. */
function u64(view: DataView, at: number): number {
  const value = view.getBigUint64(at, true);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw broken('an offset or size in it is impossible');
  return Number(value);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function broken(why: string): ElfError {
  return new ElfError(why);
}
