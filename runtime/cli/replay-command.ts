// `ig replay`: its flags; what it does is loaded only when it runs.

import type { Command } from 'commander';
import type { ReplayFlags } from './replay.js';
import { replayOptionGroups } from './run-flags.js';

/** Adds the flags of `ig replay`, and what it does. */
export function declareReplay(command: Command): void {
  for (const option of replayOptionGroups().flatMap(({ options }) => options)) command.addOption(option);
  command.helpOption(false).action(async (file: string | undefined, flags: ReplayFlags) => {
    const { replayFile } = await import('./replay.js');
    await replayFile(file, flags);
  });
}
