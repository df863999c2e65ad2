// Which containers a user asked for: names to show, names to leave out, and whether the host is shown too.

import type { Container } from './container.js';
import { SelectorError } from './errors.js';

export interface SelectorOptions {
  /** `-c/--containername`: names, comma separated; `!name` leaves one out. Empty = every name. */
  containerName?: string;
  /** `--host`: what runs outside of containers as well. */
  host?: boolean;
}

export class Selector {
  readonly host: boolean;
  /** Names to show; empty = every name. */
  readonly included: ReadonlySet<string>;
  readonly excluded: ReadonlySet<string>;

  /** Throws {@link SelectorError} on an empty name. */
  constructor(options: SelectorOptions = {}) {
    this.host = options.host ?? false;
    const list = options.containerName;
    const names = list === undefined ? [] : list.split(',').map((item) => parseItem(item, list));
    this.included = new Set(names.filter((item) => !item.exclude).map((item) => item.name));
    this.excluded = new Set(names.filter((item) => item.exclude).map((item) => item.name));
  }

  /** Whether names were given, so that nothing can be shown without an engine that knows them. */
  get namesContainers(): boolean {
    return this.included.size > 0 || this.excluded.size > 0;
  }

  /** Whether everything passes, and the kernel need not filter. */
  get selectsAll(): boolean {
    return this.host && !this.namesContainers;
  }

  matches(container: Container): boolean {
    if (this.excluded.has(container.name)) return false;
    return this.included.size === 0 || this.included.has(container.name);
  }
}

function parseItem(item: string, list: string): { name: string; exclude: boolean } {
  const trimmed = item.trim();
  const exclude = trimmed.startsWith('!');
  const name = exclude ? trimmed.slice(1).trim() : trimmed;
  if (name === '') {
    throw new SelectorError(
      `The container names "${list}" hold an empty name: write them as name1,name2 or !name to leave one out.`,
    );
  }
  return { name, exclude };
}
