// What happens to the batches of one data source, in order: containers, Wasm, filter, sort and limit, output.

import { bootNowNs } from '../../bpf/clock.js';
import type { ContainerView } from '../containers/view.js';
import { type Batch, Span } from '../data/batch.js';
import type { DataSource } from '../data/data-source.js';
import { type Field, type Locator, locatorOf, withOrigins } from '../data/field.js';
import { filter } from '../operators/filter.js';
import { addFormatters } from '../operators/formatters.js';
import { limiter } from '../operators/limiter.js';
import type { BatchStep } from '../operators/operator.js';
import { sortFields, sorter } from '../operators/sort.js';
import { OF_CONTAINER, type UserFiles, addUsers } from '../operators/users.js';
import type { ByteWriter } from '../output/byte-writer.js';
import { columnOf } from '../output/column-spec.js';
import { createOutput } from '../output/modes.js';
import { noneOutput } from '../output/none.js';
import type { Output } from '../output/output.js';
import { resolveField } from '../output/select-columns.js';
import { Turns } from '../output/turns.js';
import type { RecordingWriter } from '../recording/writer.js';
import { ContainerNames, fieldByTag } from './containers.js';
import type { Control } from './control.js';
import { FileHashes, type HashWork } from './file-hashes.js';
import { HoldQueue } from './hold.js';
import type { OutputRequest, WorkerConfig } from './messages.js';
import type { Meter } from './meter.js';
import type { Modules } from './modules.js';
import { type Asked, askedOf } from './scope.js';
import type { Sink } from './sink.js';

/** What the chains of a worker have in common. */
export interface Shared {
  readonly control: Control;
  readonly writer: ByteWriter;
  readonly sink: Sink;
  readonly view: ContainerView;
  /** The Wasm modules that batches go through. */
  readonly modules: Pick<Modules, 'run'>;
  readonly askContainer: (mntns: number, pid: number) => void;
  /** Has the view know of every mount namespace whose events may have come. */
  readonly catchUp: () => void;
  /** Left out when no files are to be hashed. */
  readonly hashing?: HashWork | undefined;
  /** Where names of users come from. */
  readonly userFiles: UserFiles;
  /** Keeps what the chains take in, in its order. */
  readonly recorder: Pick<RecordingWriter, 'batch' | 'release'> | undefined;
  /** Measures the chains; left out, nothing does. */
  readonly meter?: Meter | undefined;
}

/** What an event waits for: whose a mount namespace was at that time. */
interface Moment {
  readonly mntns: number;
  readonly bootNs: number;
}

export class Chain {
  readonly source: DataSource;
  private readonly index: number;
  private readonly config: WorkerConfig;
  private readonly shared: Shared;
  private readonly containers: ContainerNames | undefined;
  /** The same if anything asks for containers. */
  private naming: ContainerNames | undefined;
  private held = new HoldQueue<Moment>();
  private readonly hashes: FileHashes | undefined;
  private readonly refreshUsers: (() => void) | undefined;
  /** When an event happened, CLOCK_BOOTTIME; undefined where nothing measures that, or no field says it. */
  private readonly locateTimestamp: Locator | undefined;
  /** The field that says it. */
  private readonly timestamp: Field | undefined;
  private readonly span = new Span();
  private compiled: Compiled | undefined;

  /** Adds the operators' fields to `source`. The gadget's own Wasm module has added its fields before. */
  constructor(source: DataSource, index: number, config: WorkerConfig, shared: Shared) {
    this.source = source;
    this.index = index;
    this.config = config;
    this.shared = shared;
    this.containers =
      config.containers === undefined ? undefined : ContainerNames.of(source, shared.view, config.containers);
    this.hashes = FileHashes.of(source, shared.hashing);
    this.timestamp = fieldByTag(source, 'type:gadget_timestamp', 8);
    if (shared.meter !== undefined && this.timestamp !== undefined)
      this.locateTimestamp = locatorOf(this.timestamp);
    addFormatters(source, { bootToEpochNs: config.bootToEpochNs });
    this.refreshUsers = addUsers(source, shared.userFiles, this.containers?.users);
  }

  /**
   * Makes the ends of the chain, now that all fields are there. `asked`: what the flags ask of it, nothing of a data
   * source that a Wasm module hides. Throws for a filter or columns that cannot be.
   */
  compile(asked: Asked | undefined, turns: Turns | undefined): void {
    const { output: request } = this.config;
    // A classic view is one of the gadget's first events.
    const { view, ...plain } = request;
    const own = view === undefined || this.index > 0 ? plain : request;
    this.compiled = asked === undefined ? hidden() : compile(this.source, asked, own, turns);
    this.naming = this.needsContainers() ? this.containers : undefined;
  }

  /** Modules that see the operators' fields may ask for any. */
  private needsContainers(): boolean {
    const { containers, modules } = this.config;
    return (
      containers?.filtering === true ||
      this.shared.recorder !== undefined ||
      modules.some(({ role, guest }) => role === 'filter' || 'form' in guest) ||
      [...this.usedFields()].some(({ tags }) => tags.includes(OF_CONTAINER))
    );
  }

  /** Takes over the events that wait in `other`, a chain of the same data source. */
  adopt(other: Chain): void {
    this.held = other.held;
    if (other.hashes !== undefined) this.hashes?.adopt(other.hashes);
  }

  private get end(): Compiled {
    if (this.compiled === undefined) throw new Error('the chain is not compiled');
    return this.compiled;
  }

  get output(): Output {
    return this.end.output;
  }

  /** False for a data source that a Wasm module hides: modules get its events, and nothing is printed. */
  get isShown(): boolean {
    return this.end.isShown;
  }

  /** Fields that anything but modules reads. */
  usedFields(): Set<Field> {
    const { output, asked } = this.end;
    const { containers, hashes, timestamp } = this;
    return withOrigins([
      ...output.usedFields(),
      ...asked,
      ...(timestamp === undefined ? [] : [timestamp]),
      ...(containers?.reads ?? []),
      ...(hashes?.reads ?? []),
    ]);
  }

  /** Takes a batch fresh from the kernel at that time. */
  take(batch: Batch, nowMs: number): void {
    this.shared.control.add('read', batch.count);
    this.shared.meter?.addBatch(batch.count);
    this.refreshUsers?.();
    const unnamed = this.nameContainers(batch, true, nowMs);
    // Behind the news of containers that naming has waited for, before the module that may never come back.
    this.shared.recorder?.batch(this.index, batch, nowMs);
    this.run(batch, unnamed + this.awaitHashes(batch, nowMs));
  }

  /** Takes a batch that a Wasm module made, which goes on to those from number `nextModule` on. */
  takeMade(batch: Batch, nextModule: number): void {
    this.shared.control.addMade(batch.count);
    this.refreshUsers?.();
    this.run(batch, this.nameContainers(batch, false, 0), nextModule);
  }

  /** Lets go of the events that waited for a name or a hash and have it now, or waited too long. */
  release(nowMs: number): void {
    if (!this.holding) return;
    const hashed = this.hashes?.release(nowMs);
    const named = this.held.release(({ mntns, bootNs }) => this.containers!.knows(mntns, bootNs), nowMs);
    if (hashed === undefined && named === undefined) return;
    this.refreshUsers?.();
    this.shared.recorder?.release(this.index, nowMs);
    if (hashed !== undefined) this.run(hashed, this.nameContainers(hashed, false, nowMs));
    if (named === undefined) return;
    const unnamed = this.nameContainers(named, false, nowMs);
    this.run(named, unnamed + (nowMs === Infinity ? 0 : this.awaitHashes(named, nowMs)));
  }

  get holding(): boolean {
    return this.held.size > 0 || this.awaitsHashes;
  }

  get awaitsHashes(): boolean {
    return this.hashes?.holding ?? false;
  }

  private awaitHashes(batch: Batch, nowMs: number): number {
    return this.hashes?.hold(batch, nowMs) ?? 0;
  }

  /** `apart`: how many records are not the batch's any more. */
  private run(batch: Batch, apart: number, firstModule = 0): void {
    const { control, writer, sink, modules, meter } = this.shared;
    const { isShown, steps, order, output } = this.end;
    meter?.lap('other');
    if (batch.kept() > 0 && !modules.run(this.index, batch, firstModule)) {
      const lost = batch.kept();
      control.add('lostGuest', lost);
      control.add('filtered', batch.count - apart - lost);
      return;
    }
    if (!isShown) batch.keep.fill(0);
    for (const step of steps) step(batch);
    meter?.lap('filter');
    this.countUnhashed(batch);
    const rows = output.write(batch, writer, order?.(batch));
    meter?.lap('format');
    control.add('filtered', batch.count - apart - rows);
    sink.flush(writer, rows);
    if (meter !== undefined) this.measure(batch, meter);
  }

  private measure(batch: Batch, meter: Meter): void {
    meter.lap('write');
    if (this.shared.sink.ended || this.locateTimestamp === undefined) return;
    meter.addLatencies(batch, this.locateTimestamp, bootNowNs(), this.span);
    meter.lap('other');
  }

  private countUnhashed(batch: Batch): void {
    if (this.hashes === undefined) return;
    for (let row = 0; row < batch.count; row++) {
      const failure = batch.keep[row] === 0 ? undefined : this.hashes.failureOf(batch, row);
      if (failure !== undefined) this.shared.control.addUnhashed(failure);
    }
  }

  /** Returns how many records left the batch otherwise than by a filter: to be held, or lost for want of a name. */
  private nameContainers(batch: Batch, fresh: boolean, nowMs: number): number {
    this.shared.meter?.lap('other');
    let apart = 0;
    this.naming?.process(batch, fresh, {
      catchUp: this.shared.catchUp,
      hold: (row, mntns, bootNs, pid) => {
        this.shared.askContainer(mntns, pid);
        this.hashes?.ask(batch, row, nowMs);
        const held = this.held.add(batch, row, { mntns, bootNs }, nowMs);
        if (held) apart++;
        return held;
      },
      lose: () => {
        this.shared.control.add('lostUnnamed', 1);
        apart++;
      },
    });
    this.shared.meter?.lap('containers');
    return apart;
  }
}

/** What comes after the modules. */
interface Compiled {
  readonly isShown: boolean;
  readonly output: Output;
  readonly steps: readonly BatchStep[];
  /** The fields that filters and the order ask for. */
  readonly asked: readonly Field[];
  readonly order: ((batch: Batch) => Uint32Array | undefined) | undefined;
}

/** Makes the ends of all chains, as the flags ask. `isShown`: of the chain of that number. Throws as `askedOf`. */
export function compileChains(
  chains: readonly Chain[],
  config: WorkerConfig,
  isShown: (index: number) => boolean,
): void {
  const shown = chains.filter((_, index) => isShown(index)).map(({ source }) => source);
  const asked = askedOf(config, shown);
  const tables = [...asked.values()].filter(({ mode }) => mode === 'columns');
  const turns = tables.length > 1 ? new Turns() : undefined;
  for (const chain of chains) chain.compile(asked.get(chain.source), turns);
}

function hidden(): Compiled {
  return { isShown: false, output: noneOutput(), steps: [], asked: [], order: undefined };
}

function compile(
  source: DataSource,
  asked: Asked,
  request: OutputRequest,
  turns: Turns | undefined,
): Compiled {
  const { apply, fields } = filter(source, asked.rules);
  const output = makeOutput(source, asked, request);
  return {
    isShown: true,
    asked: asked.sort === undefined ? fields : [...fields, ...sortFields(source, asked.sort)],
    steps: fields.length > 0 ? [apply] : [],
    order: compileOrder(source, asked),
    output: turns === undefined || asked.mode !== 'columns' ? output : turns.add(source.name, output),
  };
}

function compileOrder(
  source: DataSource,
  asked: Asked,
): ((batch: Batch) => Uint32Array | undefined) | undefined {
  const sort = asked.sort === undefined ? undefined : sorter(source, asked.sort);
  const limit = limiter(source, asked.maxEntries);
  if (sort === undefined && limit === undefined) return undefined;
  return (batch) => {
    const rows = sort?.(batch);
    limit?.(batch, rows);
    return rows;
  };
}

function makeOutput(
  source: DataSource,
  { mode, fields }: Asked,
  { view, widthColumns }: OutputRequest,
): Output {
  return createOutput(mode, source, {
    ...(fields === undefined ? {} : { fields }),
    ...(widthColumns === undefined ? {} : { widthColumns }),
    ...(view === undefined
      ? {}
      : { view: view.map(({ field, ...look }) => columnOf(resolveField(source, field), look)) }),
  });
}
