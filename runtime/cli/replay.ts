// `ig replay FILE`: shows a recorded run again, filtered and formatted as the flags say.

import { writeSync } from 'node:fs';
import { DEFAULT_GUEST_LIMITS } from '../guest.js';
import type { ReplayAccount, ReplayOptions } from '../replay.js';
import { openRecording, type Recording } from '../recording/reader.js';
import { accountLine } from './account.js';
import { type ContainerFlags, selectionOf } from './container-flags.js';
import { waitForEnd } from './end.js';
import { UsageError, fail, say } from './fail.js';
import { type OpenFlags, filtersOf, openOptions } from './open.js';
import type { OutputFlags } from './run-flags.js';
import { shownAs } from './shown-as.js';
import { limitsOf } from './wasm-flags.js';

/** What commander makes of the flags. */
export interface ReplayFlags extends ContainerFlags, OpenFlags, Omit<OutputFlags, 'filter'> {
  readonly filter?: readonly string[];
  readonly help?: boolean;
}

/** Returns when all is shown. */
export async function replayFile(path: string | undefined, flags: ReplayFlags): Promise<void> {
  if (path === undefined) {
    if (flags.help !== true)
      throw new UsageError(
        'which recording? `ig run GADGET --record FILE` makes one, `ig replay FILE` shows it',
      );
    const { replayHelp } = await import('./replay-help.js');
    writeSync(1, replayHelp());
    return;
  }
  const recording = openRecording(path);
  try {
    const modules = {
      wasmFilters: await filtersOf(flags, () => openOptions(flags)),
      guestLimits: limitsOf(flags, DEFAULT_GUEST_LIMITS),
    };
    if (flags.help === true) await printHelp(path, recording, modules);
    else await show(path, recording, flags, modules);
  } finally {
    recording.close();
  }
}

type Modules = Pick<ReplayOptions, 'wasmFilters' | 'guestLimits'>;

async function printHelp(path: string, recording: Recording, modules: Modules): Promise<void> {
  const { describeRecording } = await import('../replay.js');
  const { recordingHelp } = await import('./replay-help.js');
  writeSync(1, recordingHelp(path, recording.header, await describeRecording(recording, modules)));
}

async function show(path: string, recording: Recording, flags: ReplayFlags, modules: Modules): Promise<void> {
  const { Replay } = await import('../replay.js');
  const verbose = flags.verbose ?? false;
  const { header } = recording;
  if (verbose) say(`Recording of ${header.gadget} ${header.image} by ig v${header.ig}`);
  const selection = selectionOf(flags);
  const end = waitForEnd();
  const starting = Replay.start(
    recording,
    {
      ...modules,
      verbose,
      ...shownAs({ ...flags, filter: flags.filter ?? [] }),
      ...(Object.keys(selection).length === 0 ? {} : { selection }),
    },
    {
      warn: (sentence) => say(`Warning: ${sentence}`),
      outputClosed: () => end.now('closed'),
      failed: (error) => end.now(error),
      ended: () => end.now('stopped'),
      log: say,
    },
  );
  // A module that hangs while it starts must not keep the user.
  const first = await Promise.race([starting, end.reason]);
  if (first === 'stopped') process.exit(0);
  const replay = await starting;
  const reason = await end.reason;
  const account = await replay.stop();
  if (reason instanceof Error) {
    say(accountOf(account, true)!);
    fail(reason, verbose);
  }
  if (reason !== 'closed') tell(path, account, verbose);
}

function accountOf({ counts, replayed }: ReplayAccount, always: boolean): string | undefined {
  return accountLine({ counts, kernelLosses: replayed?.losses ?? new Map<string, number>() }, always);
}

function tell(path: string, account: ReplayAccount, verbose: boolean): void {
  const { replayed } = account;
  const line = accountOf(account, verbose);
  if (line !== undefined) say(line);
  if (replayed?.damage !== undefined)
    throw new Error(`the rest of ${path} cannot be read: ${replayed.damage}`);
  if (replayed !== undefined && replayed.losses === undefined)
    say(`Warning: the end of ${path} is missing, and with it what the run may have lost`);
}
