// Gives every event its container: a column of small integers, resolved to names when an output asks.

import { type Batch, Column, MAX_BATCH_RECORDS } from '../data/batch.js';
import type { DataSource } from '../data/data-source.js';
import type { Field } from '../data/field.js';
import { type ContainerView, NOT_CONTAINER, RUNTIME_FIELDS, UNKNOWN } from '../containers/view.js';

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

/** What may become of records whose container is not known for sure. */
export interface Waiting {
  /** Takes record `row` away to wait; false when there is no room. */
  readonly hold: (row: number, mntns: number, bootNs: number, pid: number, unknown: boolean) => boolean;
  /** Counts a record that nobody could name in time. */
  readonly lose: () => void;
}

export class ContainerNames {
  private readonly view: ContainerView;
  private readonly filtering: boolean;
  private readonly hostMntns: number;
  private readonly mntnsOffset: number;
  private readonly timestampOffset: number | undefined;
  private readonly pidOffset: number | undefined;
  private readonly indexes = new Int32Array(MAX_BATCH_RECORDS);
  private readonly column: Column;
  private readonly columnNumber: number;

  /** Undefined for a data source without a mount namespace. */
  static of(
    source: DataSource,
    view: ContainerView,
    options: { readonly filtering: boolean; readonly hostMntns: number },
  ): ContainerNames | undefined {
    const offset = recordOffset(source, 'type:gadget_mntns_id');
    return offset === undefined ? undefined : new ContainerNames(source, view, options, offset);
  }

  private constructor(
    source: DataSource,
    view: ContainerView,
    { filtering, hostMntns }: { readonly filtering: boolean; readonly hostMntns: number },
    mntnsOffset: number,
  ) {
    this.view = view;
    this.filtering = filtering;
    this.hostMntns = hostMntns;
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
          // What an engine has not said (yet) is undefined, not empty.
          return index >= 0 && this.view.locate(index, place, span) && span.end > span.start;
        },
      },
    });
  }

  /**
   * Looks up every record, and leaves those of containers that nobody asked for. With `fresh` records whose
   * container is not known, or whose mount namespace may have changed hands, are offered to `hold`; what is then
   * still unknown is shown without a name, or, when containers are filtered, given to `lose`.
   */
  process(batch: Batch, fresh: boolean, { hold, lose }: Waiting): void {
    batch.columns[this.columnNumber] = this.column;
    const { view } = batch;
    for (let row = 0; row < batch.count; row++) {
      const at = batch.offsets[row]!;
      const mntns = view.getUint32(at + this.mntnsOffset, true);
      const bootNs = this.bootNs(batch, at);
      const index = this.view.indexOf(mntns, view.getUint32(at + this.mntnsOffset + 4, true), bootNs);
      this.indexes[row] = index;
      if (
        fresh &&
        this.isDoubtful(index, mntns) &&
        hold(row, mntns, bootNs, this.pid(batch, at), index === UNKNOWN)
      ) {
        batch.keep[row] = 0;
      } else if (this.filtering && !this.view.isSelected(index)) {
        batch.keep[row] = 0;
        if (index === UNKNOWN) lose();
      }
    }
  }

  /** Numbers of mount namespaces are used again: what was a service's may be a container's now. The host's stays. */
  private isDoubtful(index: number, mntns: number): boolean {
    return index === UNKNOWN || (index === NOT_CONTAINER && mntns !== this.hostMntns);
  }

  private bootNs(batch: Batch, at: number): number {
    if (this.timestampOffset === undefined) return 0;
    const low = batch.view.getUint32(at + this.timestampOffset, true);
    return low + batch.view.getUint32(at + this.timestampOffset + 4, true) * 0x1_0000_0000;
  }

  private pid(batch: Batch, at: number): number {
    return this.pidOffset === undefined ? 0 : batch.view.getUint32(at + this.pidOffset, true);
  }

  /** Whether the table can say by now who was in a mount namespace at that time. */
  knows(mntns: number, bootNs: number): boolean {
    return this.view.indexOf(mntns, 0, bootNs) !== UNKNOWN;
  }
}

function recordOffset(source: DataSource, tag: string): number | undefined {
  const location = source.fields.find((field) => field.tags.includes(tag))?.location;
  return location?.in === 'record' ? location.offset : undefined;
}
