// Which containers a user asked for: by names, pods, labels and images, and whether the host is shown too.

import { type Container, isSandbox } from './container.js';
import { SelectorError } from './errors.js';

/**
 * Each a comma list, of which a container has to match one item; `!item` leaves out what matches it. Left out, it
 * selects everything.
 */
export interface SelectorOptions {
  /** `-c/--containername/--runtime-containername`. */
  readonly containerName?: string;
  /** `--k8s-containername`, `--k8s-podname`, `--k8s-namespace`. */
  readonly k8sContainerName?: string;
  readonly k8sPodName?: string;
  readonly k8sNamespace?: string;
  /** `--k8s-selector`: a label selector as kubectl's `-l` takes it; here every item has to match. */
  readonly k8sSelector?: string;
  /** `--runtime-containerimage-digest`, `--runtime-containerimage-id`: digests, or 12 and more digits of them. */
  readonly imageDigest?: string;
  readonly imageId?: string;
  /** `--host`: what runs outside of containers as well. */
  readonly host?: boolean;
}

type Criterion = (container: Container) => boolean;

export class Selector {
  readonly host: boolean;
  readonly #criteria: readonly Criterion[];

  /** Throws {@link SelectorError} on a list with an empty item and on a label selector that makes no sense. */
  constructor(options: SelectorOptions = {}) {
    this.host = options.host ?? false;
    this.#criteria = [
      byName(options.containerName, 'container names', ({ name }) => name),
      byName(options.k8sContainerName, 'container names', ({ pod }) => pod?.containerName ?? ''),
      byName(options.k8sPodName, 'pod names', ({ pod }) => pod?.podName ?? ''),
      byName(options.k8sNamespace, 'namespaces', ({ pod }) => pod?.namespace ?? ''),
      byLabels(options.k8sSelector),
      byList(options.imageDigest, 'image digests', ({ imageDigest }, item) => isDigest(imageDigest, item)),
      byList(options.imageId, 'image ids', ({ imageId }, item) => isDigest(imageId, item)),
    ].filter((criterion) => criterion !== undefined);
  }

  /** Whether anything is asked of containers, so that nothing can be shown without an engine that knows them. */
  get asksForContainers(): boolean {
    return this.#criteria.length > 0;
  }

  /** Whether everything passes, and the kernel need not filter. */
  get selectsAll(): boolean {
    return this.host && !this.asksForContainers;
  }

  matches(container: Container): boolean {
    return !isSandbox(container) && this.#criteria.every((matches) => matches(container));
  }
}

function byName(
  list: string | undefined,
  what: string,
  nameOf: (container: Container) => string,
): Criterion | undefined {
  return byList(list, what, (container, item) => nameOf(container) === item);
}

function byList(
  list: string | undefined,
  what: string,
  matches: (container: Container, item: string) => boolean,
): Criterion | undefined {
  if (list === undefined) return undefined;
  const items = list.split(',').map((item) => parseItem(item, list, what));
  const included = items.filter((item) => !item.exclude);
  const excluded = items.filter((item) => item.exclude);
  return (container) =>
    !excluded.some(({ text }) => matches(container, text)) &&
    (included.length === 0 || included.some(({ text }) => matches(container, text)));
}

function parseItem(item: string, list: string, what: string): { text: string; exclude: boolean } {
  const trimmed = item.trim();
  const exclude = trimmed.startsWith('!');
  const text = exclude ? trimmed.slice(1).trim() : trimmed;
  if (text === '') {
    throw new SelectorError(
      `The ${what} "${list}" hold an empty one: write them as one,two or !one to leave one out.`,
    );
  }
  return { text, exclude };
}

/** `sha256:…` in full or without the algorithm, or the beginning of the digits, as engines print it. */
function isDigest(digest: string, item: string): boolean {
  const hex = digest.slice(digest.indexOf(':') + 1);
  return digest === item || hex === item || (/^[0-9a-f]{12,}$/.test(item) && hex.startsWith(item));
}

type Labels = Readonly<Record<string, string>>;

/** Kubernetes label selectors: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/ */
function byLabels(selector: string | undefined): Criterion | undefined {
  if (selector === undefined) return undefined;
  // Commas between parentheses belong to a set.
  const requirements = selector.split(/,(?![^(]*\))/).map((text) => parseRequirement(text.trim(), selector));
  return ({ pod }) => pod !== undefined && requirements.every((holds) => holds(pod.labels));
}

const KEY = '(?<key>[A-Za-z0-9][-A-Za-z0-9_./]*)';
const EQUALITY = new RegExp(`^${KEY}\\s*(?<operator>==?|!=)\\s*(?<value>[-A-Za-z0-9_.]*)$`);
const SET = new RegExp(`^${KEY}\\s+(?<operator>in|notin)\\s*\\((?<values>[-A-Za-z0-9_., ]*)\\)$`);
const EXISTENCE = new RegExp(`^(?<not>!?)\\s*${KEY}$`);

function parseRequirement(text: string, selector: string): (labels: Labels) => boolean {
  const valueOf = (labels: Labels, key: string): string | undefined =>
    Object.hasOwn(labels, key) ? labels[key] : undefined;
  const equality = EQUALITY.exec(text)?.groups;
  if (equality !== undefined) {
    const { key = '', operator, value } = equality;
    // As in Kubernetes, what has no such label is not equal.
    return (labels) => (valueOf(labels, key) === value) === (operator !== '!=');
  }
  const set = SET.exec(text)?.groups;
  if (set !== undefined) {
    const { key = '', operator, values = '' } = set;
    const wanted = new Set<string | undefined>(values.split(',').map((value) => value.trim()));
    return (labels) => wanted.has(valueOf(labels, key)) === (operator === 'in');
  }
  const existence = EXISTENCE.exec(text)?.groups;
  if (existence !== undefined) {
    const { key = '', not } = existence;
    return (labels) => Object.hasOwn(labels, key) === (not === '');
  }
  throw new SelectorError(
    `The label selector "${selector}" cannot be understood at "${text}": write key=value, key!=value, key in (a,b), ` +
      'key notin (a,b), key or !key, with commas between them.',
  );
}
