/** What an attach kind is: one file per kind here, one line per section name in the table of index.ts. */
import type { NativeLink, NativeObject } from '../native.js';
import type { Capability } from '../errors.js';

/** What a caller may say beyond the section. */
export interface AttachOptions {
  /**
   * The hook in place of the section's: `sched/sched_process_exec`, `tcp_connect`, `/bin/bash:readline`. For cgroup
   * programs a cgroup's directory, for tc programs a network interface.
   */
  target?: string;
  /** perf_event: samples per second and CPU; 49 when left out. */
  frequencyHz?: number;
  /** uprobe: only this process; all when left out. */
  pid?: number;
  /** iter: the map to walk, for `iter/bpf_map_elem`. */
  mapFd?: number;
}

export interface AttachRequest {
  readonly native: NativeObject;
  readonly program: string;
  /** The section's name without marks (`?`, `.s`): `kretprobe`. */
  readonly kind: string;
  /** What to attach to; empty if neither section nor caller says. */
  readonly target: string;
  /** What the section alone says. */
  readonly sectionTarget: string;
  readonly options: AttachOptions;
}

export interface AttachKind {
  /** Attaches, on each CPU or at one place. What the addon throws is classified by the caller. */
  attach(request: AttachRequest): NativeLink[];
  /** A sentence's end saying why the hook is missing in this kernel, asked when attaching failed. */
  missing?(request: AttachRequest, code: string): { why: string; option?: string } | undefined;
  /** What the kernel wants of a process that attaches so. */
  readonly capabilities: readonly Capability[];
}
