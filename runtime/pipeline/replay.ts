// What a worker does in the place of reading rings when it replays a recording: the same chains, at full speed.

import type { TableChange } from '../containers/change.js';
import { Selector } from '../containers/selector.js';
import type { ContainerView } from '../containers/view.js';
import { Batch, MAX_BATCH_BYTES } from '../data/batch.js';
import type { RecordedNames } from '../operators/users.js';
import { RecordingError } from '../recording/errors.js';
import type { Frame } from '../recording/format.js';
import { FrameReader } from '../recording/reader.js';
import { TableGuard } from '../recording/table-guard.js';
import type { Chain } from './chain.js';
import type { Control } from './control.js';
import type { HashTable } from './hash-table.js';
import type { Replayed, WorkerConfig } from './messages.js';
import type { Modules } from './modules.js';
import type { Sink } from './sink.js';

/** What a replay works with. */
export interface ReplayParts {
  readonly chains: readonly Chain[];
  readonly view: ContainerView;
  readonly control: Control;
  readonly sink: Sink;
  readonly modules: Pick<Modules, 'turn'>;
  readonly names: RecordedNames;
  readonly hashes: HashTable;
}

/**
 * Carries all that was recorded through the chains. Undefined when it did not come to the end because it was stopped,
 * or nobody reads the output.
 */
export function replay(config: WorkerConfig, parts: ReplayParts): Replayed | undefined {
  const { fd, framesAt, position, selection } = config.replay!;
  const { chains, control, sink, modules } = parts;
  const selector = selection === undefined ? undefined : new Selector(selection);
  const reader = new FrameReader(fd, framesAt, config.sources);
  let guard = new TableGuard();
  const batch = new Batch(MAX_BATCH_BYTES);
  const done = new Float64Array(position);
  // What a worker before this one has worked on is only read for what it says of containers and users.
  const resumeAt = done[0]!;
  let replayed: Replayed = { losses: undefined };
  try {
    while (!control.stopping && !sink.closed) {
      const isNew = reader.position >= resumeAt;
      const frame = reader.next(batch);
      if (frame === undefined) break;
      if (isNew) done[0] = reader.position;
      if (frame.kind === 'start') guard = new TableGuard();
      if (frame.kind === 'change') guard.check(frame.change);
      if (frame.kind === 'end') replayed = { losses: frame.losses };
      else if (isNew || (frame.kind !== 'batch' && frame.kind !== 'release'))
        take(frame, batch, selector, parts);
    }
  } catch (error) {
    if (!(error instanceof RecordingError)) throw error;
    replayed = { losses: undefined, damage: error.message };
  }
  for (const chain of chains) chain.release(Infinity);
  modules.turn(0, chains);
  return control.stopping || sink.closed ? undefined : replayed;
}

function take(
  frame: Exclude<Frame, { kind: 'end' }>,
  batch: Batch,
  selector: Selector | undefined,
  { chains, view, names, hashes, modules }: ReplayParts,
): void {
  switch (frame.kind) {
    case 'start':
      // The worker that hung took with it what waited; nothing keeps a replay from showing it.
      for (const chain of chains) chain.release(Infinity);
      view.clear();
      hashes.clear();
      break;
    case 'change':
      view.apply(narrowed(frame.change, selector));
      break;
    case 'names':
      names.set(frame.of, frame.names);
      break;
    case 'hashed':
      hashes.settle(frame.file);
      break;
    case 'batch':
      modules.turn(frame.nowMs, chains);
      chains[frame.source]!.take(batch, frame.nowMs);
      break;
    case 'release':
      if (Number.isFinite(frame.nowMs)) modules.turn(frame.nowMs, chains);
      chains[frame.source]!.release(frame.nowMs);
      break;
  }
}

/** What the run did not show, the replay does not either: the kernel sent next to nothing of it. */
function narrowed(change: TableChange, selector: Selector | undefined): TableChange {
  if (selector === undefined) return change;
  if (change.kind === 'add')
    return { ...change, selected: change.selected && selector.matches(change.container) };
  if (change.kind === 'notContainer') return { ...change, selected: change.selected && selector.host };
  return change;
}
