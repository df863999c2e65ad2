/** Chooses one value of a document by a path such as `.oci.manifest.layers[0].digest`: names and indexes only. */
import { InspectError } from './errors.js';

const STEP = /\.?([\w-]+)|\[(\d{1,9})\]|\[(["'])(.*?)\3\]/y;

/**
 * The value at `path`, with or without a leading `$` or `.`, and `{}` around; `["a.b"]` for names with other
 * characters. Throws InspectError: which step there is not, and which there are.
 */
export function valueAt(document: unknown, path: string): unknown {
  let value = document;
  let passed = '';
  for (const { step, text } of stepsOf(path)) {
    const next = member(value, step);
    if (next === undefined) {
      throw new InspectError(
        `there is no ${text} in ${passed === '' ? 'the image' : passed}: ${contents(value)}`,
      );
    }
    value = next;
    passed += text;
  }
  return value;
}

interface Step {
  readonly step: string | number;
  readonly text: string;
}

function stepsOf(path: string): Step[] {
  const inner = /^\{(.*)\}$/.exec(path)?.[1] ?? path;
  const rest = inner.replace(/^\$/, '');
  if (rest === '' || rest === '.') return [];
  const steps: Step[] = [];
  for (STEP.lastIndex = 0; STEP.lastIndex < rest.length;) {
    const from = STEP.lastIndex;
    const match = STEP.exec(rest);
    if (match === null) {
      throw new InspectError(
        `the path ${path} is not understood from "${rest.slice(from)}" on; try .oci.manifest.layers[0].digest`,
      );
    }
    const [, name, index, , quoted] = match;
    const step = index === undefined ? (name ?? quoted!) : Number(index);
    steps.push({ step, text: index === undefined ? `.${step}` : `[${step}]` });
  }
  return steps;
}

function member(value: unknown, step: string | number): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  if (Array.isArray(value)) return typeof step === 'number' ? (value as unknown[])[step] : undefined;
  return Object.hasOwn(value, step) ? (value as Record<string, unknown>)[step] : undefined;
}

function contents(value: unknown): string {
  if (Array.isArray(value)) return `it is a list of ${value.length}`;
  if (typeof value !== 'object' || value === null) return 'it is a single value';
  const names = Object.keys(value);
  return names.length === 0 ? 'it is empty' : `it has ${names.slice(0, 20).join(', ')}`;
}
