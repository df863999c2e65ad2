// Traces the execs of a manager's containers as a gadget does that filters by mount namespace when execve begins.
//
//   const trace = await ExecTrace.start(manager);
//   trace.paths();                                   // { web: ['/bin/sh', '/bin/ls'] }, so far
//   trace.close();

import { fileURLToPath } from 'node:url';
import { ObjectSpec, RingReader, type BpfObject } from '../../bpf/index.js';
import type { Container } from '../../runtime/containers/container.js';
import type { ContainerManager } from '../../runtime/containers/manager.js';
import { ContainerView, UNKNOWN } from '../../runtime/containers/view.js';
import { compileFile } from '../live/compile.js';

/** struct event of execs.bpf.c. */
interface Exec {
  readonly mntns: number;
  readonly bootNs: number;
  readonly path: string;
}
const EXEC_BYTES = 80;
const BATCH_RECORDS = 1024;

let compiled: Uint8Array | undefined;

export class ExecTrace {
  readonly #manager: ContainerManager;
  readonly #object: BpfObject;
  readonly #ring: RingReader;
  readonly #view = new ContainerView();
  readonly #unsubscribe: () => void;
  #unknown: Exec[] = [];
  readonly #named: { container: Container; path: string }[] = [];

  static async start(manager: ContainerManager): Promise<ExecTrace> {
    compiled ??= compileFile(fileURLToPath(new URL('execs.bpf.c', import.meta.url)));
    const spec = ObjectSpec.open(compiled, 'execs');
    spec.reuseMap('gadget_mntns_filter_map', manager.filterMap!.fd);
    const object = await spec.load();
    object.program('execve_begins').attach();
    return new ExecTrace(manager, object);
  }

  private constructor(manager: ContainerManager, object: BpfObject) {
    this.#manager = manager;
    this.#object = object;
    const { fd, maxEntries } = object.map('events');
    this.#ring = new RingReader(fd, maxEntries);
    for (const change of manager.table.snapshot()) this.#view.apply(structuredClone(change));
    this.#unsubscribe = manager.table.subscribe((change) => this.#view.apply(structuredClone(change)));
  }

  /**
   * The paths executed so far in selected containers, by the containers' names, or by what `nameOf` says instead
   * (undefined = to be left out). An exec whose container is not known yet is told when it is.
   */
  paths(nameOf: (container: Container, path: string) => string | undefined = ({ name }) => name): Paths {
    const execs = [...this.#unknown.splice(0), ...this.#drain()];
    for (const exec of execs) {
      const index = this.#view.indexOf(exec.mntns, 0, exec.bootNs);
      const container = this.#manager.table.byIndex(index)?.container;
      if (index === UNKNOWN) this.#unknown.push(exec);
      else if (container !== undefined && this.#view.isSelected(index))
        this.#named.push({ container, path: exec.path });
    }
    const paths: Paths = {};
    for (const { container, path } of this.#named) {
      const name = nameOf(container, path);
      if (name !== undefined) (paths[name] ??= []).push(path);
    }
    return paths;
  }

  close(): void {
    this.#unsubscribe();
    this.#ring.close();
    this.#object.close();
  }

  #drain(): Exec[] {
    const buffer = new Uint8Array(BATCH_RECORDS * EXEC_BYTES);
    const offsets = new Uint32Array(BATCH_RECORDS + 1);
    const count = this.#ring.drain(buffer, offsets, 0, EXEC_BYTES);
    const data = new DataView(buffer.buffer);
    return Array.from(offsets.subarray(0, count), (offset) => ({
      mntns: Number(data.getBigUint64(offset, true)),
      bootNs: Number(data.getBigUint64(offset + 8, true)),
      path: Buffer.from(buffer.subarray(offset + 16, offset + EXEC_BYTES))
        .toString('latin1')
        .replace(/\0.*/s, ''),
    }));
  }
}

type Paths = Record<string, string[]>;
