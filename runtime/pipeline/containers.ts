// Gives every event its container: a column of small integers, resolved to names when an output asks.

import { type Batch, MAX_BATCH_RECORDS, Span } from '../data/batch.js';
import type { DataSource } from '../data/data-source.js';
import { type Existence, type Field, type Locator, locatorOf } from '../data/field.js';
import { isFixed, widthOf } from '../data/kind.js';
import { type ContainerUsers, OF_CONTAINER } from '../operators/users.js';
import { CONTAINER_FIELDS, type ContainerView, UNKNOWN } from '../containers/view.js';

/** Before all fields of the gadget, as the peer has them. */
const FIRST_ORDER = -41;

interface Presentation {
  readonly description: string;
  readonly template?: string;
}

const PRESENTATIONS: Readonly<Record<string, Presentation>> = {
  'k8s.node': { description: 'Name of the Kubernetes node', template: 'node' },
  'k8s.namespace': { description: 'Namespace of the pod', template: 'namespace' },
  'k8s.podName': { description: 'Name of the pod', template: 'pod' },
  'k8s.containerName': { description: 'Name of the container in its pod', template: 'container' },
  'k8s.hostnetwork': { description: 'Whether the pod is in the host’s network' },
  'k8s.podLabels': { description: 'Labels of the pod' },
  'k8s.owner.kind': { description: 'Kind of the controller that made the pod' },
  'k8s.owner.name': { description: 'Name of the controller that made the pod' },
  'runtime.containerName': { description: 'Name of the container', template: 'container' },
  'runtime.runtimeName': { description: 'Container engine' },
  'runtime.containerId': { description: 'Id of the container' },
  'runtime.containerPid': {
    description: 'Process id of the container’s first process',
    template: 'containerPid',
  },
  'runtime.containerImageName': { description: 'Image of the container', template: 'containerImageName' },
  'runtime.containerImageDigest': {
    description: 'Digest of that image',
    template: 'containerImageDigest',
  },
  'runtime.containerStartedAt': {
    description: 'When the container was started',
    template: 'containerStartedAt',
  },
};
/** Shown by default: on a Kubernetes node, and elsewhere. */
const KUBERNETES_COLUMNS = ['k8s.node', 'k8s.namespace', 'k8s.podName', 'k8s.containerName'];
const COLUMNS = ['runtime.containerName'];

/** What the events' containers are named by. */
export interface Naming {
  /** Only events of containers that are selected are shown. */
  readonly filtering: boolean;
  readonly hostMntns: number;
  /** Name of this machine as a Kubernetes node; left out elsewhere. */
  readonly node?: string;
}

/** What may become of records whose container is not known for sure. */
export interface Waiting {
  /** Has the view know of every mount namespace whose events may have come. */
  readonly catchUp: () => void;
  /** Takes record `row` away to wait; false when there is no room. */
  readonly hold: (row: number, mntns: number, bootNs: number, pid: number) => boolean;
  /** Counts a record that nobody could name in time. */
  readonly lose: () => void;
}

export class ContainerNames {
  private readonly view: ContainerView;
  private readonly filtering: boolean;
  private readonly hostMntns: number;
  private readonly locateMntns: Locator;
  private readonly locateTimestamp: Locator;
  private readonly locatePid: Locator;
  /** The fields by which containers are found. */
  readonly reads: readonly Field[];
  private readonly span = new Span();
  /** Of the batch that is being worked on: the container of each record. */
  private readonly indexes = new Int32Array(MAX_BATCH_RECORDS).fill(UNKNOWN);

  /** Undefined for a data source without a mount namespace. */
  static of(source: DataSource, view: ContainerView, naming: Naming): ContainerNames | undefined {
    const mntns = fieldByTag(source, 'type:gadget_mntns_id', 8);
    return mntns === undefined ? undefined : new ContainerNames(source, view, naming, mntns);
  }

  private constructor(
    source: DataSource,
    view: ContainerView,
    { filtering, hostMntns, node }: Naming,
    mntns: Field,
  ) {
    this.view = view;
    this.filtering = filtering;
    this.hostMntns = hostMntns;
    const timestamp = fieldByTag(source, 'type:gadget_timestamp', 8);
    const pid = fieldByTag(source, 'type:gadget_pid', 4);
    this.locateMntns = locatorOf(mntns);
    this.locateTimestamp = timestamp === undefined ? nowhere : locatorOf(timestamp);
    this.locatePid = pid === undefined ? nowhere : locatorOf(pid);
    this.reads = [mntns, timestamp, pid].filter((field) => field !== undefined);
    const shown = node === undefined ? COLUMNS : KUBERNETES_COLUMNS;
    const inContainer: Existence = (_, row) => this.indexes[row]! >= 0;
    const inPod: Existence = (_, row) => this.view.isInPod(this.indexes[row]!);
    const onNode = node === undefined ? inPod : undefined;
    this.addField(source, 'k8s.node', 'string', shown, nodeLocator(node), onNode);
    for (const [place, { name, kind }] of CONTAINER_FIELDS.entries()) {
      const exists = name.startsWith('k8s.') ? inPod : inContainer;
      this.addField(source, name, kind, shown, this.locator(place), exists);
    }
  }

  private addField(
    source: DataSource,
    fullName: string,
    kind: Field['kind'],
    shown: readonly string[],
    locate: Locator,
    exists: Existence | undefined,
  ): void {
    // A gadget that has a field of that name knows better.
    if (source.field(fullName) !== undefined) return;
    const { description, template } = PRESENTATIONS[fullName]!;
    source.addField({
      fullName,
      kind,
      order: FIRST_ORDER + Object.keys(PRESENTATIONS).indexOf(fullName),
      hidden: !shown.includes(fullName),
      tags: [OF_CONTAINER],
      annotations: { description, ...(template === undefined ? {} : { template }) },
      location: { in: 'derived', locate, ...(exists === undefined ? {} : { exists }) },
    });
  }

  /** What the containers of events call users and groups. */
  get users(): ContainerUsers {
    return {
      user: (_, row, uid) => this.view.userName(this.indexes[row]!, uid),
      group: (_, row, gid) => this.view.groupName(this.indexes[row]!, gid),
    };
  }

  /** What an engine has not said (yet) is undefined, not empty. */
  private locator(place: number): Locator {
    return (_, row, span) => {
      const index = this.indexes[row]!;
      return index >= 0 && this.view.locate(index, place, span);
    };
  }

  /**
   * Looks up every record, and leaves out those of containers that nobody asked for. Of `fresh` records, those whose
   * container is not known are offered to `hold`. What is still unknown then is shown without a name or, when
   * containers are filtered, given to `lose`.
   */
  process(batch: Batch, fresh: boolean, { catchUp, hold, lose }: Waiting): void {
    const { span } = this;
    let ahead = fresh;
    for (let row = 0; row < batch.count; row++) {
      if (!this.locateMntns(batch, row, span)) {
        this.indexes[row] = UNKNOWN;
        if (this.filtering) batch.keep[row] = 0;
        continue;
      }
      const mntns = span.view.getUint32(span.start, true);
      const high = span.view.getUint32(span.start + 4, true);
      if (ahead && mntns !== this.hostMntns) {
        catchUp();
        ahead = false;
      }
      const bootNs = this.bootNs(batch, row);
      const index = this.view.indexOf(mntns, high, bootNs);
      this.indexes[row] = index;
      if (fresh && index === UNKNOWN && hold(row, mntns, bootNs, this.pid(batch, row))) {
        batch.keep[row] = 0;
      } else if (this.filtering && !this.view.isSelected(index)) {
        batch.keep[row] = 0;
        if (index === UNKNOWN) lose();
      }
    }
  }

  private bootNs(batch: Batch, row: number): number {
    const { span } = this;
    if (!this.locateTimestamp(batch, row, span)) return 0;
    return span.view.getUint32(span.start, true) + span.view.getUint32(span.start + 4, true) * 0x1_0000_0000;
  }

  private pid(batch: Batch, row: number): number {
    return this.locatePid(batch, row, this.span) ? this.span.view.getUint32(this.span.start, true) : 0;
  }

  /** Whether the table can say by now who was in a mount namespace at that time. */
  knows(mntns: number, bootNs: number): boolean {
    return this.view.indexOf(mntns, 0, bootNs) !== UNKNOWN;
  }
}

function nodeLocator(node: string | undefined): Locator {
  if (node === undefined) return () => false;
  const bytes = new TextEncoder().encode(node);
  const view = new DataView(bytes.buffer);
  return (_batch, _row, span) => {
    span.set(bytes, view, 0, bytes.length);
    return true;
  };
}

/** The field of that tag, if it is a number of that size. */
export function fieldByTag(source: DataSource, tag: string, sizeBytes: number): Field | undefined {
  const field = source.fields.find(({ tags }) => tags.includes(tag));
  if (field === undefined || !isFixed(field.kind) || field.length !== 1) return undefined;
  return widthOf(field.kind) === sizeBytes ? field : undefined;
}

function nowhere(): false {
  return false;
}
