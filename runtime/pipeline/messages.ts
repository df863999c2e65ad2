// What the main thread and a pipeline's worker tell each other; all of it can be cloned to another thread.

import type { SharedMap } from '../../bpf/map.js';
import type { DataSourceSpec } from '../data/spec.js';
import type { TableChange } from '../containers/change.js';
import type { FileToHash, HashedFile } from '../hashing/file.js';
import type { SelectorOptions } from '../containers/selector.js';
import type { Naming } from './containers.js';
import type { ModuleTraces } from './absent-module.js';
import type { ModuleFailure } from './modules.js';
import type { Sightings } from './sightings.js';
import type { PreparedGuest } from '../../wasm/host/component.js';
import type { PreparedCore } from '../../wasm/host/core/prepare.js';

/** A column of a fixed view: the field's name and how the view shows it. */
export interface ViewColumn {
  readonly field: string;
  readonly title: string;
  readonly width: number;
  readonly alignment?: 'left' | 'right';
}

export interface OutputRequest {
  readonly mode: string;
  /** The user's choice of columns. */
  readonly fields?: string;
  /** Columns of a classic view. */
  readonly view?: readonly ViewColumn[];
  /** Width of the terminal; undefined when the output is none. */
  readonly widthColumns?: number;
  readonly fd: number;
}

export interface RingSource {
  /** Place in `sources`. */
  readonly source: number;
  readonly fd: number;
  readonly sizeBytes: number;
  /** The largest record there may be, where the gadget says. */
  readonly recordBytes: number | undefined;
}

/** A recording to read in the place of rings. */
export interface ReplaySource {
  readonly fd: number;
  /** Where its frames begin, in bytes. */
  readonly framesAt: number;
  /** A Float64: where the next frame to be worked on begins, for the worker that takes over from one that hangs. */
  readonly position: SharedArrayBuffer;
  /** Which of the containers that were recorded are shown; left out, all of them. */
  readonly selection?: SelectorOptions;
}

/** A Wasm module to run. */
export interface ModuleConfig {
  /** How users know it: `GADGETS_MODULE`, or `filter NAME`. */
  readonly name: string;
  /** The gadget's own module comes before the fields that operators add, which filters see. */
  readonly role: 'gadget' | 'filter';
  readonly guest: PreparedGuest | PreparedCore;
  readonly params: readonly (readonly [string, string])[];
  /** The maps of the loaded gadget, for core modules. */
  readonly maps?: readonly SharedMap[];
  /** The highest level of what it logs that is shown: 0 errors … 4 traces. Default: only errors. */
  readonly logLevel?: number;
  /** False after too many failures: the module's fields stay, undefined. */
  readonly enabled: boolean;
  /** What it made of the data sources when it ran; with them, a module that is not enabled is not started either. */
  readonly traces?: ModuleTraces;
  /** How long it gets nothing at first. */
  readonly restMs?: number;
}

/** What a worker starts with. */
export interface WorkerConfig {
  readonly control: SharedArrayBuffer;
  /** Memory of a `Meter`, where the worker is to be measured. */
  readonly meter?: SharedArrayBuffer;
  readonly sources: readonly DataSourceSpec[];
  /** Empty to describe the data sources only, or to replay. */
  readonly rings: readonly RingSource[];
  readonly replay?: ReplaySource;
  /** Descriptor of the file that what is read is recorded to. */
  readonly recordFd?: number;
  /** In the order that events go through them. */
  readonly modules: readonly ModuleConfig[];
  readonly containers?: Naming & {
    /** What the table holds now; changes follow as messages. */
    readonly changes: readonly TableChange[];
    /** Left out where nothing sights namespaces. */
    readonly sightings?: Sightings;
  };
  /** Whether data sources get the hashes of files that their annotations ask for; left out, no. */
  readonly hashing?: boolean;
  /** Switches of fields that the kernel side does not collect; left out, none. */
  readonly unwanted?: readonly string[];
  readonly output: OutputRequest;
  readonly filters: readonly string[];
  readonly sort?: string;
  readonly maxEntries: number;
  /** Wall clock minus CLOCK_BOOTTIME, in nanoseconds. */
  readonly bootToEpochNs: bigint;
}

export type ToWorker =
  | { readonly type: 'begin'; readonly printHeader: boolean }
  | { readonly type: 'container'; readonly change: TableChange }
  | { readonly type: 'hashed'; readonly file: HashedFile }
  | { readonly type: 'resize'; readonly widthColumns: number }
  /** Other modules take the place of those that run; no event is lost on the way. */
  | { readonly type: 'swap'; readonly modules: readonly ModuleConfig[] };

/** How far a replay came. */
export interface Replayed {
  /** What the recorded run lost, by cause; undefined when the end of the recording is missing. */
  readonly losses: ReadonlyMap<string, number> | undefined;
  /** Why the rest of the recording cannot be read. */
  readonly damage?: string;
}

/** A field as help texts and editors see it. */
export interface FieldDescription {
  readonly dataSource: string;
  readonly fullName: string;
  readonly kind: string;
  readonly hidden: boolean;
  readonly description: string;
}

export type FromWorker =
  | {
      readonly type: 'ready';
      readonly fields: readonly FieldDescription[];
      /** What the Wasm module wants changed before the gadget is loaded. */
      readonly settings: readonly (readonly [key: string, value: string])[];
      /** What each module has made of the data sources. */
      readonly traces: readonly ModuleTraces[];
    }
  /** The new modules run, and have made that of the data sources. */
  | { readonly type: 'swapped'; readonly traces: readonly ModuleTraces[] }
  /** The old modules run on. */
  | { readonly type: 'swapFailed'; readonly failure: string }
  /** The worker cannot go on. */
  | { readonly type: 'failed'; readonly name: string; readonly message: string }
  /** A line of a module's, of a level as above; `module` is its place. */
  | { readonly type: 'guestLog'; readonly module: number; readonly level: number; readonly text: string }
  | ({ readonly type: 'guestFailed' } & ModuleFailure)
  /** Mount namespaces have been sighted that the worker has to know of before it goes on. */
  | { readonly type: 'catchUp' }
  /** An event came from a mount namespace that the table has not told about. */
  | { readonly type: 'unknownMntns'; readonly mntns: number; readonly pid: number }
  /** A process of that mount namespace executed a file whose hash is wanted. */
  | { readonly type: 'hashFile'; readonly file: FileToHash; readonly mntns: number }
  /** Nobody reads the output any more. */
  | { readonly type: 'outputClosed' }
  /** Nothing more is recorded. */
  | { readonly type: 'recordingFailed'; readonly reason: string }
  | ({ readonly type: 'replayed' } & Replayed)
  | { readonly type: 'done' };
