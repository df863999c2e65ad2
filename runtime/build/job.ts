// What the steps of one build share.

import type { Progress } from '../../oci/target.js';
import type { Architecture } from './ebpf.js';
import type { GadgetFolder } from './folder.js';
import type { Plan } from './plan.js';

export interface BuildOptions {
  /** build.yaml, if it is not the folder's. */
  readonly buildFile?: string;
  /** Whether gadget.yaml is checked; without, there need not be one. */
  readonly validate: boolean;
  /** Adds to gadget.yaml what it does not mention. */
  readonly updateMetadata: boolean;
  /** More words for the C compiler. */
  readonly cflags?: readonly string[];
  /** What to compile C for, if not for all that images are for. */
  readonly architectures?: readonly Architecture[];
  /** Where to keep the Wasm part as it is translated for running. */
  readonly cacheDir?: string;
  /** CLANG, LLVM_STRIP, SOURCE_DATE_EPOCH. */
  readonly env: NodeJS.ProcessEnv;
  /** Recorded in the image. */
  readonly builderVersion: string;
}

/** What a build tells while it works. */
export interface BuildListener {
  /** Steps, such as `compile program.bpf.c for amd64`; they have no size. */
  readonly progress: Progress;
  /** What a compiler says, as it is. */
  output(text: string): void;
  /** A sentence. */
  note(sentence: string): void;
  /** Whether `output` may be coloured. */
  readonly color: boolean;
}

export interface Job {
  readonly folder: GadgetFolder;
  readonly plan: Plan;
  readonly options: BuildOptions;
  readonly listener: BuildListener;
  /** A directory for what compilers write. */
  readonly scratch: string;
  /** Keeps the Wasm part from being translated twice. */
  readonly cacheDir: string;
}

export interface Wasm {
  readonly bytes: Uint8Array;
  readonly isComponent: boolean;
}
