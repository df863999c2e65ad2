// What a core module makes itself: packets, and the batches that they become once they are emitted.

import { Batch, MAX_BATCH_RECORDS, OFFSETS_SIZE_BYTES, type Span } from '../../../runtime/data/batch.js';
import { isFixed, widthOf } from '../../../runtime/data/kind.js';
import { Data, DataArray, type ServedField, type ServedSource, fillPadded } from './data.js';
import { GuestColumn, Room } from './guest-column.js';

/** What a packet, or an array of them, takes of a budget besides its values, in bytes. */
const PACKET_COST = 256;
/** What a value takes besides its bytes: it is an object of its own. */
const VALUE_COST = 256;
/** What packets may take, in bytes: those that a module holds, and those that wait for their turn. */
const MAX_BUDGET = 32 * 1024 * 1024;

/** Bounds the memory of the host that a module can make use of. */
export class Budget {
  private used = 0;

  /** False when that is more than there is. */
  take(size: number): boolean {
    if (this.used + size > MAX_BUDGET) return false;
    this.used += size;
    return true;
  }

  give(size: number): void {
    this.used -= size;
  }
}

/** A batch to be taken on from data source number `source`. */
export interface MadeBatch {
  readonly source: number;
  readonly batch: Batch;
}

/** A packet of one event, or an element of an array: the values that were set, by field. */
export class MadePacket extends Data {
  readonly source: ServedSource;
  readonly values = new Map<ServedField, Uint8Array>();
  sizeBytes = PACKET_COST;
  private readonly budget: Budget;

  /** Undefined when the budget is used up. */
  static create(source: ServedSource, budget: Budget): MadePacket | undefined {
    return budget.take(PACKET_COST) ? new MadePacket(source, budget) : undefined;
  }

  private constructor(source: ServedSource, budget: Budget) {
    super();
    this.source = source;
    this.budget = budget;
  }

  locate(field: ServedField, span: Span): boolean {
    const value = this.values.get(field);
    if (value === undefined) return false;
    span.set(value, new DataView(value.buffer), 0, value.length);
    return true;
  }

  set(served: ServedField, value: Uint8Array): boolean {
    const { kind, location } = served.field;
    if (served.column === undefined && location.in !== 'record') return false;
    if (location.in === 'record' && value.length > location.size) return false;
    if (location.in === 'column' && isFixed(kind) && value.length !== widthOf(kind)) return false;
    const old = this.values.get(served);
    const more = value.length - (old === undefined ? -VALUE_COST : old.length);
    if (!this.budget.take(more)) return false;
    this.sizeBytes += more;
    this.values.set(served, value.slice());
    return true;
  }

  release(): void {
    this.budget.give(this.sizeBytes);
  }
}

/** A packet of many elements. */
export class MadeArray extends DataArray {
  readonly source: ServedSource;
  readonly elements: MadePacket[] = [];
  private readonly budget: Budget;

  /** Undefined when the budget is used up. */
  static create(source: ServedSource, budget: Budget): MadeArray | undefined {
    return budget.take(PACKET_COST) ? new MadeArray(source, budget) : undefined;
  }

  private constructor(source: ServedSource, budget: Budget) {
    super();
    this.source = source;
    this.budget = budget;
  }

  get sizeBytes(): number {
    return this.elements.reduce((sum, element) => sum + element.sizeBytes, PACKET_COST);
  }

  get length(): number {
    return this.elements.length;
  }

  get(index: number): Data | undefined {
    return this.elements[index];
  }

  /** False when it is full: one snapshot is one batch. */
  append(element: MadePacket): boolean {
    if (this.elements.length >= MAX_BATCH_RECORDS) return false;
    this.elements.push(element);
    return true;
  }

  release(): void {
    for (const element of this.elements) element.release();
    this.budget.give(PACKET_COST);
  }
}

/** What becomes one batch. */
interface Group {
  readonly source: ServedSource;
  readonly packets: MadePacket[];
  sizeBytes: number;
}

/** The packets that were emitted and not taken on yet. */
export class Outbox {
  private readonly budget = new Budget();
  private groups: Group[] = [];
  /** Of each data source, the one that takes more events. */
  private open = new Map<ServedSource, Group>();

  /** Takes a packet over; false, with the packet as it was, when too much waits. */
  emit(packet: MadePacket | MadeArray): boolean {
    const { source, sizeBytes } = packet;
    if (!this.budget.take(sizeBytes)) return false;
    if (packet instanceof MadeArray) {
      this.groups.push({ source, packets: [...packet.elements], sizeBytes });
      return true;
    }
    let group = this.open.get(source);
    if (group === undefined || group.packets.length === MAX_BATCH_RECORDS) {
      group = { source, packets: [], sizeBytes: 0 };
      this.groups.push(group);
      this.open.set(source, group);
    }
    group.packets.push(packet);
    group.sizeBytes += sizeBytes;
    return true;
  }

  /** Empties it. Each batch is made when it is asked for: all at once could take far more than their packets. */
  *takeAll(): Generator<MadeBatch> {
    const { groups } = this;
    this.groups = [];
    this.open = new Map();
    for (const { source, packets, sizeBytes } of groups) {
      this.budget.give(sizeBytes);
      yield { source: source.index, batch: batchOf(source, packets) };
    }
  }
}

function batchOf(source: ServedSource, packets: readonly MadePacket[]): Batch {
  const { recordSize } = source.source;
  const stride = (recordSize + 7) & ~7;
  const batch = new Batch(stride * packets.length);
  for (let row = 0; row <= packets.length; row++) batch.offsets[row] = OFFSETS_SIZE_BYTES + stride * row;
  batch.reset(packets.length);
  const room = new Room();
  packets.forEach((packet, row) => {
    for (const [field, value] of packet.values) setValue(batch, row, field, value, room);
  });
  return batch;
}

function setValue(batch: Batch, row: number, served: ServedField, value: Uint8Array, room: Room): void {
  const { kind, location } = served.field;
  if (served.column !== undefined) {
    const column = (batch.columns[served.column] ??= new GuestColumn(kind, batch.count, room));
    (column as GuestColumn).put(row, value);
  } else if (location.in === 'record') {
    fillPadded(batch.bytes, batch.offsets[row]! + location.offset, location.size, value);
  }
}
