// Spoils inputs: bytes anywhere and, where the input is JSON, its structure. The same seed spoils alike.

const NUMBERS = [
  0, 1, 2, 3, 4, 7, 8, 9, 16, 24, 32, 64, 127, 128, 255, 256, 4095, 4096, 65535, 65536, 0x7fffffff,
  0x80000000, 0xffffffff,
];

/** Of one value that is made a list of many. */
const MAX_REPEATED_BYTES = 100_000;

/** What belongs nowhere, as JSON values. */
const VALUES = [
  ...[null, true, -1, 0.5, 2 ** 53, 1e308, '', '..', '\x1b[2J\n\u202e', [], {}, [[]], { a: null }, [null]],
  ...['__proto__', 'constructor', 'toString', `sha256:${'0'.repeat(64)}`, 'x'.repeat(70_000)],
  JSON.parse('{"__proto__":{"toString":1},"length":-1}'),
  JSON.parse('['.repeat(200) + ']'.repeat(200)),
];

export class Mutator {
  #state;
  #words;

  /** @param words pieces that mean something in the inputs' language */
  constructor(seed, words) {
    this.#state = seed >>> 0;
    this.#words = words.map((word) => Buffer.from(word));
  }

  /** A number from 0 up to `limit`, exclusive: mulberry32. */
  below(limit) {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  choose(list) {
    return list[this.below(list.length)];
  }

  mutate(bytes, corpus) {
    let spoilt = Buffer.from(bytes);
    for (let left = 1 + this.below(4); left > 0; left--) {
      spoilt =
        (this.below(2) === 0 ? this.#spoilJson(spoilt) : undefined) ?? this.#spoilBytes(spoilt, corpus);
    }
    return spoilt;
  }

  /**
   * Makes an input longer by a piece of it, or of its JSON, that is repeated. Returns a function: the same input with
   * about so many bytes more.
   */
  growth(bytes) {
    const tree = this.below(2) === 0 ? parsed(bytes) : undefined;
    const places = tree === undefined ? [] : placesIn(tree).filter(([owner]) => owner !== tree);
    if (places.length > 0) {
      const [owner, key] = this.choose(places);
      const one = JSON.stringify(owner[key]) ?? '';
      return (size) => grownJson(tree, owner, key, Math.ceil(size / (one.length + 8)));
    }
    const at = this.below(bytes.length + 1);
    const end = Math.min(bytes.length, at + 1 + this.below(32));
    const piece = end > at ? bytes.subarray(at, end) : Buffer.from(' ');
    return (size) => Buffer.concat([bytes.subarray(0, at), Buffer.alloc(size, piece), bytes.subarray(at)]);
  }

  #spoilBytes(bytes, corpus) {
    const at = this.below(bytes.length + 1);
    const end = Math.min(bytes.length, at + this.#length());
    const [before, piece, after] = [bytes.subarray(0, at), bytes.subarray(at, end), bytes.subarray(end)];
    switch (this.below(9)) {
      case 0:
        return Buffer.concat([before, Buffer.from([this.below(256)]), bytes.subarray(at + 1)]);
      case 1:
        return Buffer.concat([before, after]);
      case 2:
        return Buffer.concat([before, piece, piece, after]);
      case 3:
        return before;
      case 4:
        return this.#setNumber(bytes, at);
      case 5:
        return Buffer.concat([
          before,
          this.#words.length > 0 ? this.choose(this.#words) : piece,
          bytes.subarray(at),
        ]);
      case 6:
        return Buffer.concat([
          before,
          Buffer.alloc(1 << this.below(17), this.below(256)),
          bytes.subarray(at),
        ]);
      case 7: {
        const other = this.choose(corpus);
        return Buffer.concat([before, other.subarray(this.below(other.length + 1))]);
      }
      default: {
        const flipped = Buffer.from(bytes);
        if (at < bytes.length) flipped[at] ^= 1 << this.below(8);
        return flipped;
      }
    }
  }

  /** Mostly short. */
  #length() {
    return 1 + this.below(1 << this.below(10));
  }

  #setNumber(bytes, at) {
    const size = this.choose([1, 2, 4]);
    if (at + size > bytes.length) return bytes;
    const number = this.choose(NUMBERS) & (size === 4 ? -1 : (1 << (8 * size)) - 1);
    const changed = Buffer.from(bytes);
    if (this.below(2) === 0) changed.writeUIntLE(number >>> 0, at, size);
    else changed.writeUIntBE(number >>> 0, at, size);
    return changed;
  }

  /** `undefined` for what is not JSON, or nests too deep to be written again. */
  #spoilJson(bytes) {
    const tree = parsed(bytes);
    if (tree === undefined) return undefined;
    try {
      this.#spoilNode(tree);
      return Buffer.from(JSON.stringify(tree.root) ?? '');
    } catch {
      return undefined;
    }
  }

  #spoilNode(tree) {
    const places = placesIn(tree);
    const [owner, key] = this.choose(places);
    const [other, otherKey] = this.choose(places);
    switch (this.below(5)) {
      case 0:
        delete owner[key];
        break;
      case 1:
        owner[key] = other[otherKey];
        break;
      case 2:
        define(owner, this.choose(['__proto__', 'constructor', 'a.b', '', 'x'.repeat(1000)]), owner[key]);
        break;
      case 3: {
        const size = (JSON.stringify(owner[key]) ?? '').length;
        owner[key] = Array(Math.min(1 << this.below(15), Math.ceil(MAX_REPEATED_BYTES / (size + 1)))).fill(
          owner[key],
        );
        break;
      }
      default:
        owner[key] = this.choose(VALUES);
    }
  }
}

/** JSON below a root that can be replaced; undefined for what is none. */
function parsed(bytes) {
  try {
    return { root: JSON.parse(bytes.toString()) };
  } catch {
    return undefined;
  }
}

/** Every value in the tree, as its owner and the key there. */
function placesIn(tree) {
  const places = [];
  const visit = (owner) => {
    for (const key of Object.keys(owner)) {
      places.push([owner, key]);
      if (typeof owner[key] === 'object' && owner[key] !== null && places.length < 1000) visit(owner[key]);
    }
  };
  visit(tree);
  return places;
}

/** The tree with a value of it repeated in the list that it is in, or under other keys. */
function grownJson(tree, owner, key, times) {
  const more = Array.from({ length: times }, (_, i) => [`${key}${i}`, owner[key]]);
  const grown = Array.isArray(owner)
    ? [...owner, ...more.map(([, value]) => value)]
    : { ...owner, ...Object.fromEntries(more) };
  return Buffer.from(JSON.stringify(tree.root, (_, value) => (value === owner ? grown : value)));
}

/** Also `__proto__`, as JSON has it. */
function define(owner, key, value) {
  Object.defineProperty(owner, key, { value, enumerable: true, writable: true, configurable: true });
}
