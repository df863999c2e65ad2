// What happens to the batches of one data source, in order: containers, Wasm, filter, sort and limit, output.

import type { ContainerView } from '../containers/view.js';
import type { Batch } from '../data/batch.js';
import type { DataSource } from '../data/data-source.js';
import { type Field, withOrigins } from '../data/field.js';
import { filter } from '../operators/filter.js';
import { addFormatters } from '../operators/formatters.js';
import { limiter } from '../operators/limiter.js';
import type { BatchStep } from '../operators/operator.js';
import { sorter } from '../operators/sort.js';
import { addUsers } from '../operators/users.js';
import type { ByteWriter } from '../output/byte-writer.js';
import { columnOf } from '../output/column-spec.js';
import { createOutput } from '../output/modes.js';
import type { Output } from '../output/output.js';
import { resolveField } from '../output/select-columns.js';
import { ContainerNames } from './containers.js';
import type { Control } from './control.js';
import { HoldQueue } from './hold.js';
import type { OutputRequest, WorkerConfig } from './messages.js';
import type { Sink } from './sink.js';

/** What the chains of a worker have in common. */
export interface Shared {
  readonly control: Control;
  readonly writer: ByteWriter;
  readonly sink: Sink;
  readonly view: ContainerView;
  /** Runs the Wasm module over a batch; false when that lost the batch. */
  readonly runGuest: (source: number, batch: Batch) => boolean;
  readonly askContainer: (mntns: number, pid: number) => void;
  /** Has the view know of every mount namespace whose events may have come. */
  readonly catchUp: () => void;
}

export class Chain {
  readonly source: DataSource;
  readonly output: Output;
  private readonly index: number;
  private readonly shared: Shared;
  private readonly containers: ContainerNames | undefined;
  private readonly held = new HoldQueue();
  private readonly steps: readonly BatchStep[];
  private readonly filterFields: readonly Field[];
  private readonly order: ((batch: Batch) => Uint32Array | undefined) | undefined;

  /** False for a data source that the Wasm module hides: it gets the events, and nothing is printed. */
  readonly isShown: boolean;

  /** Adds the operators' fields to `source` and compiles its chain. The Wasm module has added its fields before. */
  constructor(source: DataSource, index: number, config: WorkerConfig, shared: Shared, isShown = true) {
    this.source = source;
    this.isShown = isShown;
    this.index = index;
    this.shared = shared;
    this.containers =
      config.containers === undefined ? undefined : ContainerNames.of(source, shared.view, config.containers);
    addFormatters(source, { bootToEpochNs: config.bootToEpochNs });
    const users = addUsers(source, {}, this.containers?.users);
    const filters = isShown ? config.filters.map((rules) => filter(source, rules)) : [];
    this.filterFields = filters.flatMap(({ fields }) => fields);
    this.steps = [...(users === undefined ? [] : [users]), ...filters.map(({ apply }) => apply)];
    this.order = isShown ? compileOrder(source, config) : undefined;
    this.output = makeOutput(source, isShown ? config.output : { ...config.output, mode: 'none' });
  }

  /** Fields that anything reads; the others need not be computed. */
  usedFields(): Set<Field> {
    return withOrigins([...this.output.usedFields(), ...this.filterFields]);
  }

  /** Takes a batch fresh from the kernel. */
  take(batch: Batch): void {
    this.shared.control.add('read', batch.count);
    this.run(batch, false);
  }

  /** Takes a batch that the Wasm module made, which does not get it back. */
  takeMade(batch: Batch): void {
    this.shared.control.add('read', batch.count);
    this.run(batch, true, false);
  }

  /** Lets go of the events that waited for a name and have one now, or waited too long. */
  release(nowMs: number): void {
    if (this.held.size === 0) return;
    const batch = this.held.release((mntns, bootNs) => this.containers!.knows(mntns, bootNs), nowMs);
    if (batch !== undefined) this.run(batch, true);
  }

  get holding(): boolean {
    return this.held.size > 0;
  }

  private run(batch: Batch, waited: boolean, forGuest = true): void {
    const { control, writer, sink } = this.shared;
    const apart = this.containers === undefined ? 0 : this.nameContainers(batch, this.containers, waited);
    if (forGuest && batch.kept() > 0 && !this.shared.runGuest(this.index, batch)) {
      const lost = batch.kept();
      control.add('lostGuest', lost);
      control.add('filtered', batch.count - apart - lost);
      return;
    }
    if (!this.isShown) batch.keep.fill(0);
    for (const step of this.steps) step(batch);
    const rows = this.output.write(batch, writer, this.order?.(batch));
    control.add('filtered', batch.count - apart - rows);
    control.add(writer.position === 0 || sink.flush(writer) ? 'delivered' : 'lostOutput', rows);
  }

  /** Returns how many records left the batch otherwise than by a filter: to be held, or lost for want of a name. */
  private nameContainers(batch: Batch, containers: ContainerNames, waited: boolean): number {
    let apart = 0;
    const nowMs = performance.now();
    containers.process(batch, !waited, {
      catchUp: this.shared.catchUp,
      hold: (row, mntns, bootNs, pid) => {
        this.shared.askContainer(mntns, pid);
        const held = this.held.add(batch, row, mntns, bootNs, nowMs);
        if (held) apart++;
        return held;
      },
      lose: () => {
        this.shared.control.add('lostUnnamed', 1);
        apart++;
      },
    });
    return apart;
  }
}

function compileOrder(
  source: DataSource,
  config: WorkerConfig,
): ((batch: Batch) => Uint32Array | undefined) | undefined {
  const sort = config.sort === undefined ? undefined : sorter(source, config.sort);
  const limit = limiter(source, config.maxEntries);
  if (sort === undefined && limit === undefined) return undefined;
  return (batch) => {
    const rows = sort?.(batch);
    limit?.(batch, rows);
    return rows;
  };
}

function makeOutput(source: DataSource, request: OutputRequest): Output {
  return createOutput(request.mode, source, {
    ...(request.fields === undefined ? {} : { fields: request.fields }),
    ...(request.widthColumns === undefined ? {} : { widthColumns: request.widthColumns }),
    ...(request.view === undefined
      ? {}
      : {
          view: request.view.map(({ field, ...look }) => columnOf(resolveField(source, field), look)),
        }),
  });
}
