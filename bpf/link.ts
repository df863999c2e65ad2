/** An attachment of one program: closing it detaches the program. */
import { closeSync, openSync } from 'node:fs';
import { BpfError, isSystemError, permissionError } from './errors.js';
import { native, type NativeLink } from './native.js';

export interface ReadOptions {
  /** Read in this network namespace (`/proc/PID/ns/net`): socket iterators list one namespace. */
  netnsPath?: string;
  /** The most to accept; 64 MiB when left out. */
  maxBytes?: number;
}

const DEFAULT_MAX_BYTES = 64 << 20;

/** Waits until every program that was running has ended: after its detachment, one may for a moment. */
export function waitForPrograms(): void {
  native().waitForPrograms();
}

export class Link {
  readonly program: string;
  /** What the program is attached to, as in a section: `tracepoint/sched/sched_process_exec`. */
  readonly hook: string;
  readonly #parts: NativeLink[];
  readonly #onClose: (link: Link) => void;

  /** @internal Use `Program.attach`. */
  constructor(program: string, hook: string, parts: NativeLink[], onClose: (link: Link) => void) {
    this.program = program;
    this.hook = hook;
    this.#parts = parts;
    this.#onClose = onClose;
  }

  /** Runs an iterator program (`iter/…`) once, over everything, and returns what it wrote. */
  read(options: ReadOptions = {}): Uint8Array {
    const part = this.#parts[0];
    if (part === undefined || !this.hook.startsWith('iter')) {
      const why = part === undefined ? 'it is detached' : 'it is no iterator';
      throw new BpfError(`Cannot read from program ${this.program} (${this.hook}): ${why}.`);
    }
    let netns = -1;
    try {
      if (options.netnsPath !== undefined) netns = openSync(options.netnsPath, 'r');
      return part.read(options.maxBytes ?? DEFAULT_MAX_BYTES, netns);
    } catch (cause) {
      const what = `program ${this.program} (${this.hook})`;
      const detail = { program: this.program, hook: this.hook, cause };
      if (isSystemError(cause) && (cause.code === 'EPERM' || cause.code === 'EACCES'))
        throw permissionError(`to read ${what}`, ['CAP_SYS_ADMIN'], detail);
      throw new BpfError(
        `Cannot read ${what}: ${cause instanceof Error ? cause.message : String(cause)}.`,
        detail,
      );
    } finally {
      if (netns >= 0) closeSync(netns);
    }
  }

  /** Detaches the program. */
  close(): void {
    for (const part of this.#parts.splice(0)) part.close();
    this.#onClose(this);
  }
}
