// What the functions that a core module imports work on: one context for each instance of the module.

import { GuestError } from '../errors.js';
import { Data, DataArray, type ServedSource } from './data.js';
import { Handles } from './handles.js';
import { Budget, type Outbox } from './made.js';
import { GuestMemory } from './memory.js';
import { type CoreServices, LOG_LEVEL, type ServedMap } from './services.js';

/** Functions to import, by name. Parameters i32 come as signed numbers, i64 as bigint. */
export type HostFunctions = Record<string, (...args: never[]) => number | bigint | void>;

/** How far a module is: it may declare fields only in `init`, and has the gadget's maps only from `start` on. */
export type Phase = 'init' | 'preStart' | 'start';

export const SUBSCRIPTION = { data: 1, array: 2, packet: 3 } as const;

export interface Subscription {
  readonly type: number;
  readonly priority: number;
  readonly callback: bigint;
}

/** Event handles are beyond those of `Handles`, and below those of arrays' elements. */
const EVENT_HANDLE = 0x4000_0000;
const ELEMENT_HANDLE = 0x8000_0000;
/** Different complaints that one instance can cause. */
const MAX_COMPLAINTS = 50;

/** What the module declared when it was first started; a restarted one must declare the same again. */
export class Declarations {
  private readonly first: string[] = [];
  private isFirst = true;
  private next = 0;

  /** Whether the module has been started before. */
  get repeats(): boolean {
    return !this.isFirst;
  }

  /** Whether a module that is started again has declared that before. */
  hasRepeated(declaration: string): boolean {
    return !this.isFirst && this.first.includes(declaration);
  }

  /** How many there are. */
  get count(): number {
    return this.isFirst ? this.first.length : this.next;
  }

  /** Whether it has to be made: the first time. Throws GuestError when it is another than the first time. */
  isNew(declaration: string): boolean {
    if (this.isFirst) this.first.push(declaration);
    else if (this.first[this.next++] !== declaration) throw otherDeclarations();
    return this.isFirst;
  }

  /** Called after every `gadgetInit`. */
  close(): void {
    if (!this.isFirst && this.next !== this.first.length) throw otherDeclarations();
    this.isFirst = false;
    this.next = 0;
  }
}

function otherDeclarations(): GuestError {
  return new GuestError("the gadget's Wasm module declared other fields when it was restarted");
}

/** What outlives an instance. */
export interface Gadget {
  readonly services: CoreServices;
  readonly params: ReadonlyMap<string, string>;
  /** Those of the kernel side, then those that the module made. */
  readonly sources: ServedSource[];
  /** How many of them are the kernel side's. */
  readonly kernelSources: number;
  readonly outbox: Outbox;
  readonly declarations: Declarations;
  /** What `setConfig` set. */
  readonly config: Map<string, string>;
}

export class Context {
  readonly gadget: Gadget;
  readonly memory = new GuestMemory();
  readonly handles = new Handles();
  /** For the packets that the module holds. */
  readonly budget = new Budget();
  /** Those that the module made and has not closed. */
  readonly madeMaps = new Set<ServedMap>();
  phase: Phase = 'init';
  /** Whether the module has a function to be called for events. */
  canCallBack = false;
  subscriptionCount = 0;
  private readonly subscriptions = new Map<ServedSource, readonly Subscription[]>();
  private readonly complaints = new Set<string>();
  private event: Data | undefined;
  private eventNumber = 0;

  constructor(gadget: Gadget) {
    this.gadget = gadget;
  }

  /** Says why a call fails; once, as a module may make the same mistake for every event. */
  complain(sentence: string): void {
    if (this.complaints.size >= MAX_COMPLAINTS || this.complaints.has(sentence)) return;
    this.complaints.add(sentence);
    this.gadget.services.log(LOG_LEVEL.warn, sentence);
  }

  /** Gives back to the machine what the module holds of it, now that it is over. */
  close(): void {
    for (const map of this.madeMaps) map.close();
    this.madeMaps.clear();
  }

  /** Makes `data` the event of the callback that follows; returns its handle. Undefined: there is none any more. */
  setEvent(data: Data | undefined): number {
    this.event = data;
    // Every event has a handle of its own, so that one kept too long is an error instead of another event.
    this.eventNumber = (this.eventNumber + 1) % EVENT_HANDLE;
    return EVENT_HANDLE + this.eventNumber;
  }

  /** The event, packet or element that a handle stands for. */
  data(handle: number): Data | undefined {
    if (handle >= ELEMENT_HANDLE) {
      return this.handles.get(handle & 0xffff, DataArray)?.get((handle >>> 16) & MAX_ELEMENT_INDEX);
    }
    if (handle >= EVENT_HANDLE) return handle === EVENT_HANDLE + this.eventNumber ? this.event : undefined;
    return this.handles.get(handle, Data);
  }

  subscriptionsOf(source: ServedSource): readonly Subscription[] {
    return this.subscriptions.get(source) ?? [];
  }

  /** Smaller priorities come first; of the same, the one that was there first. */
  subscribe(source: ServedSource, subscription: Subscription): void {
    this.subscriptionCount++;
    const all = [...this.subscriptionsOf(source), subscription];
    this.subscriptions.set(
      source,
      all.sort((a, b) => a.priority - b.priority),
    );
  }
}

/** The largest index that fits into the handle of an element. */
export const MAX_ELEMENT_INDEX = 0x7fff;

/** The handle of an array's element; signed, as the module gets it. */
export function elementHandle(array: number, index: number): number {
  return ELEMENT_HANDLE | (index << 16) | array;
}
