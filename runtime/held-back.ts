// Tells whose events --fair holds back: once while the gadget runs, and how many in the end.

import type { GroupNames } from './containers/group-names.js';
import type { Group, HeldBackCounters } from './gadget/held-back.js';

/** How soon it is told that a workload is being held back; also, how long a cgroup must live to have its name known. */
const LOOK_EVERY_MS = 1000;
/** Workloads that are told of while the gadget runs. */
const MAX_WARNINGS = 10;

/** Events of a workload that were held back. */
export interface HeldBackOf {
  /** `container web`, or a cgroup's path; undefined for workloads that are not told apart. */
  readonly who: string | undefined;
  readonly count: number;
}

export class HeldBackWatch {
  readonly #counters: Pick<HeldBackCounters, 'read'>;
  readonly #names: GroupNames;
  readonly #warn: (sentence: string) => void;
  readonly #timer: NodeJS.Timeout;
  readonly #who = new Map<Group, string>();
  readonly #told = new Set<string>();

  /** Looks every second, until `finish`. */
  constructor(counters: Pick<HeldBackCounters, 'read'>, names: GroupNames, warn: (sentence: string) => void) {
    this.#counters = counters;
    this.#names = names;
    this.#warn = warn;
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
  }

  /** Everybody of whom something was held back, who lost most first. */
  finish(): HeldBackOf[] {
    clearInterval(this.#timer);
    const { byGroup, others } = this.#counters.read();
    // By now, engines may have named what was new.
    this.#name([...byGroup.keys()]);
    const counts = new Map<string | undefined, number>([[undefined, others]]);
    for (const [group, count] of byGroup) {
      const who = this.#who.get(group)!;
      counts.set(who, (counts.get(who) ?? 0) + count);
    }
    return [...counts]
      .map(([who, count]) => ({ who, count }))
      .filter(({ count }) => count > 0)
      .sort((a, b) => b.count - a.count);
  }

  /** Names those that are new, as they may be gone in the end. */
  #look(): void {
    const news = [...this.#counters.read().byGroup.keys()].filter((group) => !this.#who.has(group));
    this.#name(news);
    for (const who of new Set(news.map((group) => this.#who.get(group)!))) {
      if (this.#told.has(who) || this.#told.size >= MAX_WARNINGS) continue;
      this.#told.add(who);
      this.#warn(`--fair holds back events of ${who}, as they exceed its share of the buffer.`);
    }
  }

  #name(groups: readonly Group[]): void {
    const names = groups.length === 0 ? new Map<Group, string>() : this.#names.namesOf(groups);
    for (const group of groups)
      this.#who.set(group, names.get(group) ?? this.#who.get(group) ?? `${group} (gone)`);
  }
}
