/** Reads BTF, the type information of eBPF objects and kernels (Documentation/bpf/btf.rst), from untrusted bytes. */
import { BtfError } from './errors.js';

interface Named {
  readonly id: number;
  /** Empty if the type has none. */
  readonly name: string;
}

export interface BtfMember {
  readonly name: string;
  readonly type: number;
  readonly bitOffset: number;
  /** Width of a bit-field; 0 for an ordinary member. */
  readonly bitSize: number;
}

/** One type; `target`, `element`, `type` and so on are type ids. Id 0 is `void`. */
export type BtfType =
  | (Named & { readonly kind: 'void' })
  | (Named & {
      readonly kind: 'int';
      readonly sizeBytes: number;
      readonly bits: number;
      readonly isSigned: boolean;
      readonly isChar: boolean;
      readonly isBool: boolean;
    })
  | (Named & {
      readonly kind: 'ptr' | 'const' | 'volatile' | 'restrict' | 'typedef' | 'type_tag';
      readonly target: number;
    })
  | (Named & {
      readonly kind: 'array';
      readonly element: number;
      readonly index: number;
      readonly count: number;
    })
  | (Named & {
      readonly kind: 'struct' | 'union';
      readonly sizeBytes: number;
      readonly members: readonly BtfMember[];
    })
  | (Named & {
      readonly kind: 'enum' | 'enum64';
      readonly sizeBytes: number;
      readonly isSigned: boolean;
      readonly values: readonly { readonly name: string; readonly value: bigint }[];
    })
  | (Named & { readonly kind: 'fwd'; readonly isUnion: boolean })
  | (Named & { readonly kind: 'func'; readonly target: number; readonly linkage: BtfLinkage })
  | (Named & {
      readonly kind: 'func_proto';
      readonly returns: number;
      readonly params: readonly { readonly name: string; readonly type: number }[];
    })
  | (Named & { readonly kind: 'var'; readonly target: number; readonly linkage: BtfLinkage })
  | (Named & {
      readonly kind: 'datasec';
      readonly sizeBytes: number;
      readonly entries: readonly {
        readonly type: number;
        readonly offset: number;
        readonly sizeBytes: number;
      }[];
    })
  | (Named & { readonly kind: 'float'; readonly sizeBytes: number })
  /** `component` is the member or parameter tagged, -1 for the whole target. */
  | (Named & { readonly kind: 'decl_tag'; readonly target: number; readonly component: number });

export type BtfKind = BtfType['kind'];
export type BtfTypeOf<K extends BtfKind> = BtfType & { readonly kind: K };
export type BtfLinkage = 'static' | 'global' | 'extern';

/** A global variable of an object: where its section's map holds it. */
export interface BtfVariable {
  readonly name: string;
  readonly type: number;
  readonly section: string;
  readonly offset: number;
  readonly sizeBytes: number;
  readonly linkage: BtfLinkage;
}

/** A type without its qualifiers and typedefs, whose names are told, outermost first. */
export interface ResolvedType {
  readonly type: BtfType;
  readonly typedefs: readonly string[];
}

/** More qualifiers, typedefs or array dimensions than any compiler makes: the types go in circles. */
const MAX_CHAIN = 128;

/** A size that no object in memory has. */
const MAX_SIZE = 2 ** 32;

const POINTER_SIZE = 8;

export class Btf {
  /** By id. */
  readonly types: readonly BtfType[];
  readonly variables: readonly BtfVariable[];
  readonly #byName = new Map<string, BtfType>();

  /** @internal Use {@link parseBtf}. */
  constructor(types: readonly BtfType[]) {
    this.types = types;
    this.variables = types.flatMap((type) => (type.kind === 'datasec' ? this.#variablesOf(type) : []));
    for (const type of types) {
      const key = `${type.kind} ${type.name}`;
      if (type.name !== '' && !this.#byName.has(key)) this.#byName.set(key, type);
    }
  }

  /** Throws {@link BtfError} for an id that is none. */
  type(id: number): BtfType {
    const type = this.types[id];
    if (type === undefined) throw new BtfError(`There is no BTF type ${id}.`);
    return type;
  }

  /** The first type of that kind and name. */
  find<K extends BtfKind>(kind: K, name: string): BtfTypeOf<K> | undefined {
    return this.#byName.get(`${kind} ${name}`) as BtfTypeOf<K> | undefined;
  }

  /** Strips const, volatile, restrict, type tags and typedefs. Throws {@link BtfError} for types going in circles. */
  resolve(id: number): ResolvedType {
    const typedefs: string[] = [];
    for (let hop = 0; hop < MAX_CHAIN; hop++) {
      const type = this.type(id);
      if (!isWrapper(type)) return { type, typedefs };
      if (type.kind === 'typedef') typedefs.push(type.name);
      id = type.target;
    }
    throw new BtfError(`BTF type ${id} refers to itself.`);
  }

  /** Bytes in memory. Throws {@link BtfError} for what has no size: void, functions, forward declarations, tags. */
  sizeOf(id: number): number {
    let count = 1;
    for (let dimension = 0; dimension < MAX_CHAIN; dimension++) {
      let { type } = this.resolve(id);
      if (type.kind === 'var') type = this.resolve(type.target).type;
      if (type.kind !== 'array') {
        const size = type.kind === 'ptr' ? POINTER_SIZE : 'sizeBytes' in type ? type.sizeBytes : undefined;
        if (size === undefined) throw new BtfError(`BTF type ${id} (${type.kind} ${type.name}) has no size.`);
        if (count * size > MAX_SIZE) throw new BtfError(`BTF type ${id} is impossibly large.`);
        return count * size;
      }
      count *= type.count;
      if (count > MAX_SIZE) throw new BtfError(`BTF type ${id} is impossibly large.`);
      id = type.element;
    }
    throw new BtfError(`BTF type ${id} contains itself.`);
  }

  #variablesOf(section: BtfTypeOf<'datasec'>): BtfVariable[] {
    return section.entries.flatMap(({ type: id, offset, sizeBytes }) => {
      const variable = this.type(id);
      // A section may list functions too (.ksyms).
      if (variable.kind !== 'var') return [];
      const { name, target, linkage } = variable;
      return [{ name, type: target, section: section.name, offset, sizeBytes, linkage }];
    });
  }
}

/** Parses raw BTF, of either byte order. Throws {@link BtfError}; every id in the result exists. */
export function parseBtf(bytes: Uint8Array): Btf {
  const { reader, typesEnd } = openSections(bytes);
  const types: BtfType[] = [{ kind: 'void', id: 0, name: '' }];
  while (reader.at < typesEnd) {
    const name = reader.name();
    const info = reader.u32();
    const head = {
      id: types.length,
      name,
      count: info & 0xffff,
      flag: info >>> 31 === 1,
      word: reader.u32(),
    };
    const parse = PARSERS[(info >>> 24) & 0x1f];
    if (parse === undefined)
      throw new BtfError(`BTF type ${head.id} is of the unknown kind ${(info >>> 24) & 0x1f}.`);
    types.push(parse(head, reader));
  }
  if (reader.highestId >= types.length)
    throw new BtfError(`The BTF refers to type ${reader.highestId}, which is missing.`);
  return new Btf(types);
}

const MAGIC = 0xeb9f;
const VERSION = 1;
const HEADER_SIZE = 24;

/** struct btf_header: magic, version, flags, hdr_len, then offset and length of the types and of the strings. */
function openSections(bytes: Uint8Array): { reader: Reader; typesEnd: number } {
  if (bytes.length < HEADER_SIZE) throw new BtfError('The BTF is cut off: shorter than its header.');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const littleEndian = view.getUint16(0, true) === MAGIC;
  if (!littleEndian && view.getUint16(0) !== MAGIC)
    throw new BtfError('These bytes are not BTF: wrong magic number.');
  if (view.getUint8(2) !== VERSION)
    throw new BtfError(`The BTF has the unknown version ${view.getUint8(2)}.`);
  const word = (at: number): number => view.getUint32(at, littleEndian);
  const base = word(4);
  const types = { start: base + word(8), end: base + word(8) + word(12) };
  const strings = { start: base + word(16), end: base + word(16) + word(20) };
  if (base < HEADER_SIZE || types.end > bytes.length || strings.end > bytes.length)
    throw new BtfError('The BTF is cut off: its sections reach beyond its end.');
  checkNames(bytes.subarray(strings.start, strings.end));
  return { reader: new Reader(view, littleEndian, types, strings), typesEnd: types.end };
}

/** Names are quoted in messages, so that they must not break a line. The kernel takes none with such characters. */
function checkNames(strings: Uint8Array): void {
  if (strings.some((byte) => (byte !== 0 && byte < 0x20) || byte === 0x7f))
    throw new BtfError('The BTF has a name with control characters.');
}

interface Range {
  readonly start: number;
  readonly end: number;
}

/** Reads the types one word after the other, and what they name. */
class Reader {
  at: number;
  /** The highest type id referred to so far. */
  highestId = 0;
  readonly #view: DataView;
  readonly #littleEndian: boolean;
  readonly #end: number;
  readonly #strings: Buffer;
  readonly #names = new Map<number, string>();
  #nameBytes = 0;

  constructor(view: DataView, littleEndian: boolean, types: Range, strings: Range) {
    this.#view = view;
    this.#littleEndian = littleEndian;
    this.at = types.start;
    this.#end = types.end;
    this.#strings = Buffer.from(view.buffer, view.byteOffset + strings.start, strings.end - strings.start);
  }

  u32(): number {
    if (this.at + 4 > this.#end) throw new BtfError('The BTF is cut off in the middle of a type.');
    const word = this.#view.getUint32(this.at, this.#littleEndian);
    this.at += 4;
    return word;
  }

  /** A type id. */
  type(id: number = this.u32()): number {
    if (id > this.highestId) this.highestId = id;
    return id;
  }

  name(): string {
    const offset = this.u32();
    if (offset === 0) return '';
    const known = this.#names.get(offset);
    if (known !== undefined) return known;
    const end = this.#strings.indexOf(0, offset);
    if (offset >= this.#strings.length || end < 0)
      throw new BtfError(`The BTF has no name at offset ${offset}.`);
    // Names do not overlap, save in a forgery that would make a small file fill the memory.
    this.#nameBytes += end - offset + 1;
    if (this.#nameBytes > 2 * this.#strings.length) throw new BtfError('The names in the BTF overlap.');
    const name = this.#strings.toString('utf8', offset, end);
    this.#names.set(offset, name);
    return name;
  }

  list<T>(count: number, item: () => T): T[] {
    const items: T[] = [];
    for (let i = 0; i < count; i++) items.push(item());
    return items;
  }
}

/** The first three words of a type: `word` is its size or the type it refers to. */
interface Head {
  readonly id: number;
  readonly name: string;
  readonly count: number;
  readonly flag: boolean;
  readonly word: number;
}

type Parser = (head: Head, reader: Reader) => BtfType;

/** By kind number, as in include/uapi/linux/btf.h. */
const PARSERS: readonly (Parser | undefined)[] = [
  undefined,
  integer,
  reference('ptr'),
  ({ id, name }, reader) => {
    const [element, index, count] = [reader.type(), reader.type(), reader.u32()];
    return { kind: 'array', id, name, element, index, count };
  },
  composite('struct'),
  composite('union'),
  enumeration('enum'),
  ({ id, name, flag }) => ({ kind: 'fwd', id, name, isUnion: flag }),
  reference('typedef'),
  reference('volatile'),
  reference('const'),
  reference('restrict'),
  ({ id, name, count, word }, reader) => ({
    kind: 'func',
    id,
    name,
    target: reader.type(word),
    linkage: linkageOf(count),
  }),
  ({ id, name, count, word }, reader) => {
    const params = reader.list(count, () => ({ name: reader.name(), type: reader.type() }));
    return { kind: 'func_proto', id, name, returns: reader.type(word), params };
  },
  ({ id, name, word }, reader) => {
    return { kind: 'var', id, name, target: reader.type(word), linkage: linkageOf(reader.u32()) };
  },
  ({ id, name, count, word }, reader) => {
    const entries = reader.list(count, () => ({
      type: reader.type(),
      offset: reader.u32(),
      sizeBytes: reader.u32(),
    }));
    return { kind: 'datasec', id, name, sizeBytes: word, entries };
  },
  ({ id, name, word }) => ({ kind: 'float', id, name, sizeBytes: word }),
  ({ id, name, word }, reader) => {
    return { kind: 'decl_tag', id, name, target: reader.type(word), component: reader.u32() | 0 };
  },
  reference('type_tag'),
  enumeration('enum64'),
];

type Wrapper = BtfTypeOf<'const' | 'volatile' | 'restrict' | 'typedef' | 'type_tag'>;

function isWrapper(type: BtfType): type is Wrapper {
  return ['const', 'volatile', 'restrict', 'typedef', 'type_tag'].includes(type.kind);
}

function reference(kind: 'ptr' | Wrapper['kind']): Parser {
  return ({ id, name, word }, reader) => ({ kind, id, name, target: reader.type(word) });
}

function integer({ id, name, word }: Head, reader: Reader): BtfType {
  const encoding = reader.u32();
  const flags = encoding >>> 24;
  return {
    kind: 'int',
    id,
    name,
    sizeBytes: word,
    bits: encoding & 0xff,
    isSigned: (flags & 1) !== 0,
    isChar: (flags & 2) !== 0,
    isBool: (flags & 4) !== 0,
  };
}

function composite(kind: 'struct' | 'union'): Parser {
  return ({ id, name, count, flag, word }, reader) => {
    const members = reader.list(count, () => {
      const member = { name: reader.name(), type: reader.type() };
      const offset = reader.u32();
      // With the kind flag, the upper 8 bits are a bit-field's width.
      return { ...member, bitOffset: flag ? offset & 0xffffff : offset, bitSize: flag ? offset >>> 24 : 0 };
    });
    return { kind, id, name, sizeBytes: word, members };
  };
}

function enumeration(kind: 'enum' | 'enum64'): Parser {
  return ({ id, name, count, flag, word }, reader) => {
    const values = reader.list(count, () => {
      const valueName = reader.name();
      const low = BigInt(reader.u32());
      const value = kind === 'enum64' ? low | (BigInt(reader.u32()) << 32n) : low;
      return { name: valueName, value: flag ? BigInt.asIntN(kind === 'enum64' ? 64 : 32, value) : value };
    });
    return { kind, id, name, sizeBytes: word, isSigned: flag, values };
  };
}

function linkageOf(number: number): BtfLinkage {
  const linkage = (['static', 'global', 'extern'] as const)[number];
  if (linkage === undefined)
    throw new BtfError(`The BTF has a variable or function of the unknown linkage ${number}.`);
  return linkage;
}
