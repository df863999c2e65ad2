/**
 * What the Wasm binary of an image takes and gives; nothing of it is run.
 *
 * Formats: https://webassembly.github.io/spec/core/binary/modules.html and
 * https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md
 */
import {
  type Cursor,
  type Section,
  damaged,
  readByte,
  readName,
  readU32,
  sectionsOf,
} from '../../wasm/host/binary.js';
import { type ModuleForm, moduleForm } from '../../wasm/host/module-form.js';

export interface WasmInfo {
  /** A component is of ours, a core module of the peer's API. */
  readonly form: ModuleForm;
  readonly sizeBytes: number;
  /** Of a core module whose function of that name returns a constant. */
  readonly gadgetAPIVersion?: number;
  /** Functions of the runtime that a core module calls; a component of ours calls none. */
  readonly upcalls: readonly string[];
  /** All that it imports: `MODULE.NAME`, or interfaces. */
  readonly imports: readonly string[];
  /** Names of functions, or interfaces: `ig:post-processor/processor@1.0.0`. */
  readonly exports: readonly string[];
}

/** The import module of the peer's API. */
const UPCALL_MODULE = 'ig';
const VERSION_FUNCTION = 'gadgetAPIVersion';
const MAX_NAMES = 10_000;

/** Throws InvalidModuleError for bytes that are no Wasm, or damaged. */
export function inspectWasm(bytes: Uint8Array): WasmInfo {
  const form = moduleForm(bytes);
  const sections = [...sectionsOf(bytes)];
  const found = form === 'core' ? inspectCore(sections) : inspectComponent(sections);
  return { form, sizeBytes: bytes.length, ...found };
}

type Found = Omit<WasmInfo, 'form' | 'sizeBytes'>;

const CORE = { import: 2, function: 3, export: 7, code: 10 } as const;
const FUNCTION = 0;

function inspectCore(sections: readonly Section[]): Found {
  const imports = items(sections, CORE.import, readImport);
  const exports = items(sections, CORE.export, (cursor) => {
    return { name: readName(cursor), kind: readByte(cursor), index: readU32(cursor) };
  });
  const functions = imports.filter(({ kind }) => kind === FUNCTION);
  const version = exports.find(({ name, kind }) => name === VERSION_FUNCTION && kind === FUNCTION);
  const constant = version === undefined ? undefined : constantOf(sections, version.index - functions.length);
  return {
    ...(constant === undefined ? {} : { gadgetAPIVersion: constant }),
    upcalls: functions.filter(({ module }) => module === UPCALL_MODULE).map(({ name }) => name),
    imports: imports.map(({ module, name }) => `${module}.${name}`),
    exports: exports.filter(({ kind }) => kind === FUNCTION).map(({ name }) => name),
  };
}

function readImport(cursor: Cursor): { module: string; name: string; kind: number } {
  const head = { module: readName(cursor), name: readName(cursor), kind: readByte(cursor) };
  switch (head.kind) {
    case FUNCTION:
      readU32(cursor);
      break;
    case 1: // table: type, limits
      readByte(cursor);
      readLimits(cursor);
      break;
    case 2: // memory
      readLimits(cursor);
      break;
    case 3: // global: type, mutability
    case 4: // tag: attribute, type
      readByte(cursor);
      readU32(cursor);
      break;
    default:
      throw damaged();
  }
  return head;
}

function readLimits(cursor: Cursor): void {
  const hasMaximum = (readByte(cursor) & 1) === 1;
  skipNumber(cursor);
  if (hasMaximum) skipNumber(cursor);
}

const I64_CONST = 0x42;
const END = 0x0b;

/** What the function, counted behind the imports, returns if its body is but a small constant of type i64. */
function constantOf(sections: readonly Section[], index: number): number | undefined {
  const section = sections.find(({ id }) => id === CORE.code);
  if (section === undefined || index < 0) return undefined;
  const cursor: Cursor = { bytes: section.bytes, position: section.content };
  if (index >= readU32(cursor)) return undefined;
  for (let i = 0; i < index; i++) {
    const size = readU32(cursor);
    cursor.position += size;
  }
  readU32(cursor);
  const [locals, opcode, value, end] = [0, 1, 2, 3].map(() => readByte(cursor));
  // One byte of LEB128, without sign.
  const isConstant = locals === 0 && opcode === I64_CONST && value! < 0x40 && end === END;
  return isConstant ? value : undefined;
}

const COMPONENT = { import: 10, export: 11 } as const;

function inspectComponent(sections: readonly Section[]): Found {
  const imports = items(sections, COMPONENT.import, (cursor) => {
    const name = readExternName(cursor);
    skipExternDescription(cursor);
    return name;
  });
  const exports = items(sections, COMPONENT.export, (cursor) => {
    const name = readExternName(cursor);
    // What is exported: a sort (those of core modules have one more byte) and an index; then perhaps its type.
    if (readByte(cursor) === 0) readByte(cursor);
    readU32(cursor);
    if (readByte(cursor) === 1) skipExternDescription(cursor);
    return name;
  });
  return { upcalls: [], imports, exports };
}

function readExternName(cursor: Cursor): string {
  const form = readByte(cursor);
  const name = readName(cursor);
  // This form has a version's suffix behind the name.
  return form === 2 ? name + readName(cursor) : name;
}

function skipExternDescription(cursor: Cursor): void {
  switch (readByte(cursor)) {
    case 0: // core module
      readByte(cursor);
      readU32(cursor);
      break;
    case 2: // value: equal to another, or of a type
    case 3: // type: equal to another, or a new resource
      if (readByte(cursor) === 0) readU32(cursor);
      else if (cursor.bytes[cursor.position - 2] === 2) skipNumber(cursor);
      break;
    case 1: // function
    case 4: // component
    case 5: // instance
      readU32(cursor);
      break;
    default:
      throw damaged();
  }
}

/** A LEB128 number of up to 64 bits. */
function skipNumber(cursor: Cursor): void {
  for (let i = 0; i < 10; i++) if (readByte(cursor) < 0x80) return;
  throw damaged();
}

/** The vectors of all sections with this number, one after the other. */
function items<T>(sections: readonly Section[], id: number, read: (cursor: Cursor) => T): T[] {
  const all: T[] = [];
  for (const section of sections) {
    if (section.id !== id) continue;
    const cursor: Cursor = { bytes: section.bytes, position: section.content };
    const count = readU32(cursor);
    if (all.length + count > MAX_NAMES) throw damaged();
    for (let i = 0; i < count; i++) all.push(read(cursor));
  }
  return all;
}
