// Data sources that the module makes: aggregates, alerts.

import { fail } from './gadget';
import { Table } from './table';

/** All that the module declared, in order. */
export const newSources: NewSource[] = [];

/** No more than the host takes at once. */
const MAX_EMITTED: u32 = 65535;

@final
export class NewSource extends Table {
  /** Declares, at the top level of the module, a data source that it makes. */
  constructor(name: string) {
    super(name);
    newSources.push(this);
  }

  /** Emits an event with the values that were set since the last one. */
  emit(): void {
    if (this.row == MAX_EMITTED) fail(`more than ${MAX_EMITTED} events were emitted at once to ${this.name}`);
    else {
      this.end(true);
      this.row++;
      this.clear(this.row, 1);
    }
  }

  /** Forgets what was emitted. */
  begin(): void {
    this.row = 0;
    this.clear(0, 1);
  }
}
