// Tells each container's beginning and end once, by name, from the changes of the table.

import { isContainerId } from './cgroup.js';
import { type Container, shortId } from './container.js';
import { type ContainerDescription, type ContainerFacts, describeContainer, factsOf } from './describe.js';
import type { ContainerTable } from './table.js';

export interface LifeEvent {
  readonly event: 'CREATED' | 'DELETED';
  /** When it started or ended, RFC 3339 in UTC, as far as is known; else when that was seen. */
  readonly timestamp: string;
  readonly container: ContainerDescription;
}

/** How long a container that nobody could name at once, as its engine was busy, waits for the name. */
const NAME_PATIENCE_MS = 1000;

interface Life {
  /** The newest there is. */
  container: Container;
  /** Its first process, as far as was known at first. */
  readonly pid: number;
  readonly facts: ContainerFacts;
  readonly seenMs: number;
  told: boolean;
  /** Tells it without a name. */
  timer?: NodeJS.Timeout;
}

export class Lives {
  readonly #table: ContainerTable;
  readonly #onEvent: (event: LifeEvent) => void;
  readonly #lives = new Map<number, Life>();
  /** Those that ended a moment ago, by key. */
  readonly #ended = new Map<string, { readonly index: number; readonly pid: number }>();
  readonly #unsubscribe: () => void;

  /** Tells what runs already, and from now on what comes and goes, of the containers that are selected. */
  constructor(table: ContainerTable, onEvent: (event: LifeEvent) => void) {
    this.#table = table;
    this.#onEvent = onEvent;
    for (const { index, selected, container } of table.rows()) {
      if (container.removedAtMs === undefined) this.#add(index, container, selected);
    }
    this.#unsubscribe = table.subscribe((change) => {
      if (change.kind === 'add') this.#add(change.index, change.container, change.selected);
      if (change.kind === 'leave') this.#end(change.index);
      if (change.kind === 'remove') this.#forget(change.index);
    });
  }

  close(): void {
    this.#unsubscribe();
    for (const { timer } of this.#lives.values()) clearTimeout(timer);
  }

  /** It comes again with everything new that is learned of it. */
  #add(index: number, container: Container, selected: boolean): void {
    const known = this.#lives.get(index);
    // What was seen of its beginning may be heard after its end: that is no other life.
    if (known === undefined && this.#ended.get(container.key)?.pid === container.pid) return;
    if (!selected && known?.told !== true) {
      // Its name, now known, is none of those asked for.
      clearTimeout(known?.timer);
      this.#lives.delete(index);
      return;
    }
    const life = known ?? this.#begin(index, container);
    life.container = container;
    if (!isNameless(container)) this.#tell(life);
    else life.timer ??= setTimeout(() => this.#tell(life), NAME_PATIENCE_MS);
  }

  #begin(index: number, container: Container): Life {
    const { pid } = container;
    const life = { container, pid, facts: factsOf(container), seenMs: Date.now(), told: false };
    this.#lives.set(index, life);
    return life;
  }

  #tell(life: Life): void {
    clearTimeout(life.timer);
    if (life.told) return;
    life.told = true;
    const startedMs = Date.parse(life.container.startedAt);
    this.#emit('CREATED', life, Number.isNaN(startedMs) ? life.seenMs : startedMs);
  }

  #end(index: number): void {
    const life = this.#lives.get(index);
    if (life === undefined) return;
    this.#lives.delete(index);
    this.#ended.set(life.container.key, { index, pid: life.pid });
    this.#tell(life);
    this.#emit('DELETED', life, this.#table.byIndex(index)?.container.removedAtMs ?? Date.now());
  }

  #forget(index: number): void {
    for (const [key, ended] of this.#ended) if (ended.index === index) this.#ended.delete(key);
  }

  #emit(event: LifeEvent['event'], { container, facts }: Life, timeMs: number): void {
    const timestamp = new Date(timeMs).toISOString();
    this.#onEvent({ event, timestamp, container: describeContainer(container, facts) });
  }
}

/** Shown by a part of its id: no engine has told its name yet. */
function isNameless({ id, name }: Container): boolean {
  return isContainerId(id) && name === shortId(id);
}
