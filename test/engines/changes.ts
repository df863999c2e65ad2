// What a container table has told so far, to be waited for.
//
//   const changes = new Changes(manager.table);            // from now on
//   const { index } = await changes.named('web');
//   await changes.left(index);

import type { TableChange } from '../../runtime/containers/change.js';
import type { ContainerTable } from '../../runtime/containers/table.js';
import { until } from '../until.js';

export type Addition = Extract<TableChange, { kind: 'add' }>;

export class Changes {
  readonly #told: TableChange[] = [];

  constructor(table: ContainerTable) {
    table.subscribe((change) => this.#told.push(change));
  }

  /** The first such addition, once there is one. */
  async added(matches: (change: Addition) => boolean): Promise<Addition> {
    const find = (): Addition | undefined =>
      this.#told.filter((change) => change.kind === 'add').find(matches);
    await until(() => find() !== undefined, 'the container');
    return find()!;
  }

  named(name: string): Promise<Addition> {
    return this.added(({ container }) => container.name === name);
  }

  /** Resolves when the container of that index has ended. */
  left(index: number): Promise<void> {
    return until(
      () => this.#told.some((change) => change.kind === 'leave' && change.index === index),
      'its end',
    );
  }
}
