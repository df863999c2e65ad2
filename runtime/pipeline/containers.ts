// Gives every event its container: a column of small integers, resolved to names when an output asks.

import { type Batch, Column, MAX_BATCH_RECORDS } from '../data/batch.js';
import type { DataSource } from '../data/data-source.js';
import type { Field } from '../data/field.js';
import { type ContainerView, RUNTIME_FIELDS, UNKNOWN } from '../containers/view.js';

/** Before all fields of the gadget, as the peer has them. */
const FIRST_ORDER = -31;
const TEMPLATES: Readonly<Record<string, string>> = {
  containerName: 'container',
  containerImageName: 'containerImageName',
  containerPid: 'containerPid',
  containerImageDigest: 'containerImageDigest',
  containerStartedAt: 'containerStartedAt',
};
const DESCRIPTIONS: Readonly<Record<string, string>> = {
  containerName: 'Name of the container',
  runtimeName: 'Container engine',
  containerId: 'Id of the container',
  containerPid: 'Process id of the container’s first process',
  containerImageName: 'Image of the container',
  containerImageDigest: 'Digest of that image',
  containerStartedAt: 'When the container was started',
};

export class ContainerNames {
  private readonly view: ContainerView;
  private readonly filtering: boolean;
  private readonly mntnsOffset: number;
  private readonly timestampOffset: number | undefined;
  private readonly pidOffset: number | undefined;
  private readonly indexes = new Int32Array(MAX_BATCH_RECORDS);
  private readonly column: Column;
  private readonly columnNumber: number;

  /** Undefined for a data source without a mount namespace. */
  static of(source: DataSource, view: ContainerView, filtering: boolean): ContainerNames | undefined {
    const offset = recordOffset(source, 'type:gadget_mntns_id');
    return offset === undefined ? undefined : new ContainerNames(source, view, filtering, offset);
  }

  private constructor(source: DataSource, view: ContainerView, filtering: boolean, mntnsOffset: number) {
    this.view = view;
    this.filtering = filtering;
    this.mntnsOffset = mntnsOffset;
    this.timestampOffset = recordOffset(source, 'type:gadget_timestamp');
    this.pidOffset = recordOffset(source, 'type:gadget_pid');
    this.column = new Column('int32', new Uint8Array(this.indexes.buffer));
    this.columnNumber = source.newColumn();
    RUNTIME_FIELDS.forEach(({ name, kind }, i) => this.addField(source, name, kind, i));
  }

  private addField(source: DataSource, name: string, kind: Field['kind'], place: number): void {
    const template = TEMPLATES[name];
    source.addField({
      fullName: `runtime.${name}`,
      kind,
      order: FIRST_ORDER + place,
      hidden: name !== 'containerName',
      annotations: {
        description: DESCRIPTIONS[name] ?? '',
        ...(template === undefined ? {} : { template }),
      },
      location: {
        in: 'derived',
        locate: (batch, row, span) => {
          const index = batch.columns[this.columnNumber]?.view.getInt32(row * 4, true) ?? UNKNOWN;
          return index >= 0 && this.view.locate(index, place, span);
        },
      },
    });
  }

  /** Looks up every record. `onUnknown` says whether to drop one whose container is not known. */
  process(batch: Batch, onUnknown: (row: number, mntns: number, pid: number) => boolean): void {
    batch.columns[this.columnNumber] = this.column;
    const { view } = batch;
    for (let row = 0; row < batch.count; row++) {
      const at = batch.offsets[row]!;
      const low = view.getUint32(at + this.mntnsOffset, true);
      const index = this.view.indexOf(
        low,
        view.getUint32(at + this.mntnsOffset + 4, true),
        this.bootNs(batch, at),
      );
      this.indexes[row] = index;
      if (index === UNKNOWN) {
        if (onUnknown(row, low, this.pid(batch, at))) batch.keep[row] = 0;
      } else if (this.filtering && !this.view.isSelected(index)) batch.keep[row] = 0;
    }
  }

  private bootNs(batch: Batch, at: number): number {
    if (this.timestampOffset === undefined) return 0;
    const low = batch.view.getUint32(at + this.timestampOffset, true);
    return low + batch.view.getUint32(at + this.timestampOffset + 4, true) * 0x1_0000_0000;
  }

  private pid(batch: Batch, at: number): number {
    return this.pidOffset === undefined ? 0 : batch.view.getUint32(at + this.pidOffset, true);
  }

  /** Whether the table can say by now who is in a mount namespace. */
  knows(mntns: number): boolean {
    return this.view.indexOf(mntns, 0) !== UNKNOWN;
  }
}

function recordOffset(source: DataSource, tag: string): number | undefined {
  const location = source.fields.find((field) => field.tags.includes(tag))?.location;
  return location?.in === 'record' ? location.offset : undefined;
}
