// The pipeline's step that runs a core module of the peer's API: calls it for every event of a batch.

import type { Batch } from '../../../runtime/data/batch.js';
import type { DataSource } from '../../../runtime/data/data-source.js';
import { collectInstance } from '../collect.js';
import { guarded } from '../guest.js';
import { type Context, Declarations, type Gadget, SUBSCRIPTION, type Subscription } from './context.js';
import { RecordArray, RecordData, ServedSource } from './data.js';
import { CoreInstance } from './instance.js';
import { type MadeBatch, Outbox } from './made.js';
import type { PreparedCore } from './prepare.js';
import type { CoreServices } from './services.js';

export class CoreProcessor {
  private readonly prepared: PreparedCore;
  private readonly gadget: Gadget;
  /** Undefined after a failure, until the next batch. */
  private instance: CoreInstance | undefined;
  private isStarted = false;

  /**
   * Starts the module and gives `sources` the fields it declares. Throws GuestError when it refuses, and
   * InvalidModuleError when it imports what there is not.
   */
  constructor(
    prepared: PreparedCore,
    params: readonly (readonly [string, string])[],
    sources: readonly DataSource[],
    services: CoreServices,
  ) {
    this.prepared = prepared;
    this.gadget = {
      services,
      params: new Map(params),
      sources: sources.map((source, index) => new ServedSource(index, source)),
      kernelSources: sources.length,
      outbox: new Outbox(),
      declarations: new Declarations(),
      config: new Map(),
    };
    this.instance = new CoreInstance(prepared, this.gadget);
  }

  /** Nothing to tell: a module of this form sets what it likes. */
  select(): void {}

  /** Data sources that the module made, numbered on from those it was given. */
  get madeSources(): DataSource[] {
    return this.gadget.sources.slice(this.gadget.kernelSources).map(({ source }) => source);
  }

  /** What the module wants changed before the gadget is loaded: `programs.NAME.attach_to`, and the value. */
  get settings(): [string, string][] {
    return [...this.gadget.config];
  }

  /** Whether outputs are to show data source number `source`. */
  isShown(source: number): boolean {
    return this.gadget.sources[source]!.isShown;
  }

  /** Every operator's fields and the gadget's maps are there: the module can look for them. Throws GuestError. */
  start(): void {
    this.withInstance(startInstance);
    this.isStarted = true;
  }

  /**
   * Runs the module over a batch of data source number `source`. Throws GuestError when the batch is lost to the
   * module's failure; the next call starts a new instance.
   */
  process(source: number, batch: Batch): void {
    this.withInstance((instance) => {
      const served = this.gadget.sources[source]!;
      const subscriptions = instance.context.subscriptionsOf(served);
      if (subscriptions.length === 0) return;
      served.beginBatch();
      guarded('dataSourceCallback', () => {
        if (served.source.type === 'single') callForRecords(instance, served, batch, subscriptions);
        else callForSnapshot(instance, served, batch, subscriptions);
      });
      instance.context.setEvent(undefined);
    });
  }

  /** What the module emitted since the last call. */
  takeMade(): Iterable<MadeBatch> {
    return this.gadget.outbox.takeAll();
  }

  /** How much memory the module has now. */
  get memoryBytes(): number {
    return this.instance?.context.memory.sizeBytes ?? 0;
  }

  /** Ends the module. Throws GuestError with its last words. */
  finish(): void {
    const { instance } = this;
    this.instance = undefined;
    try {
      instance?.run('gadgetStop');
      instance?.run('gadgetPostStop');
    } finally {
      instance?.close();
    }
  }

  /** Runs a step; whatever it throws costs the instance. */
  private withInstance(step: (instance: CoreInstance) => void): void {
    const { instance: old } = this;
    if (old === undefined) collectInstance();
    const instance = old ?? new CoreInstance(this.prepared, this.gadget);
    this.instance = undefined;
    try {
      if (old === undefined && this.isStarted) startInstance(instance);
      step(instance);
    } catch (error) {
      instance.close();
      throw error;
    }
    this.instance = instance;
  }
}

function startInstance(instance: CoreInstance): void {
  instance.context.phase = 'preStart';
  instance.run('gadgetPreStart');
  instance.context.phase = 'start';
  instance.run('gadgetStart');
}

/** Each record is an event, and a packet of its own. */
function callForRecords(
  instance: CoreInstance,
  source: ServedSource,
  batch: Batch,
  subscriptions: readonly Subscription[],
): void {
  const { context } = instance;
  const data = new RecordData(source, batch);
  const handle = context.handles.add(source);
  for (let row = 0; row < batch.count; row++) {
    if (batch.keep[row] === 0) continue;
    data.row = row;
    for (let i = 0; i < subscriptions.length; i++) {
      instance.callBack(subscriptions[i]!.callback, handle, context.setEvent(data));
    }
  }
  context.handles.release(handle);
}

/** The batch is one packet: an array of its records. */
function callForSnapshot(
  instance: CoreInstance,
  source: ServedSource,
  batch: Batch,
  subscriptions: readonly Subscription[],
): void {
  const { context } = instance;
  const array = new RecordArray(source, batch);
  const handle = context.handles.add(source);
  for (const { type, callback } of subscriptions) {
    if (type === SUBSCRIPTION.data) {
      for (let i = 0; i < array.length; i++)
        instance.callBack(callback, handle, context.setEvent(array.get(i)));
    } else {
      callWithArray(instance, context, array, handle, callback);
    }
  }
  context.handles.release(handle);
}

function callWithArray(
  instance: CoreInstance,
  context: Context,
  array: RecordArray,
  source: number,
  callback: bigint,
): void {
  const handle = context.handles.add(array);
  instance.callBack(callback, source, handle);
  context.handles.release(handle);
}
