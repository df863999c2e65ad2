/** Writes a BTF type as C does, near enough to read: `const volatile bool`, `char[16]`, `struct event *`. */
import type { Btf, BtfType } from '../../bpf/index.js';

/** Deeper types are cut: those of a forgery go in circles. */
const MAX_DEPTH = 16;

export function typeName(btf: Btf, id: number, depth = 0): string {
  if (depth > MAX_DEPTH) return '…';
  const type = btf.type(id);
  switch (type.kind) {
    case 'ptr':
      return `${typeName(btf, type.target, depth + 1)} *`;
    case 'array':
      return `${typeName(btf, type.element, depth + 1)}[${type.count}]`;
    case 'const':
    case 'volatile':
    case 'restrict':
      return `${type.kind} ${typeName(btf, type.target, depth + 1)}`;
    case 'type_tag':
      return typeName(btf, type.target, depth + 1);
    case 'void':
      return 'void';
    default:
      return named(type);
  }
}

function named({ kind, name }: BtfType): string {
  const keyword = { struct: 'struct', union: 'union', fwd: 'struct', enum: 'enum', enum64: 'enum' }[
    kind as string
  ];
  const shown = name === '' ? '(anonymous)' : name;
  if (kind === 'func_proto') return 'function';
  return keyword === undefined ? shown : `${keyword} ${shown}`;
}
