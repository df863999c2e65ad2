// `ig debug`: its flags; what it does is loaded only when it runs.

import { type Command, Option } from 'commander';
import { type ContainerFlags, engineOptions } from './container-flags.js';

/** What the user gave, as commander names it. */
export interface DebugFlags extends ContainerFlags {
  readonly output: string;
  readonly verbose?: boolean;
}

const HELP = `
Each line is a thing of a group (ig, kernel, security, process, mount, program, map, helper, kfunc, engine, store,
gadget) and whether it is there: yes, no, unknown with the reason, or info for a plain value. Programs and maps are
really made, and dropped at once: nothing stays attached or pinned, and nothing on the machine is changed. Without
root, what only root can find out is unknown. Please put the whole output into a bug report.

Examples:
  sudo ig debug                         # all that this machine can do
  ig debug                              # the same for who you are
  sudo ig debug -o yaml > report.yaml
  sudo ig debug -o json | jq -r '.[] | select(.group == "program" and .state != "yes") | .what'`;

/** Adds the flags of `ig debug`, and what it does. */
export function declareDebug(command: Command): void {
  command.addOption(
    new Option('-o, --output <mode>', 'columns, json, jsonpretty or yaml').default('columns'),
  );
  for (const option of engineOptions()) command.addOption(option);
  command
    .addOption(new Option('-v, --verbose', 'add causes to errors'))
    .addHelpText('after', HELP)
    .action(async (flags: DebugFlags) => {
      const { debug } = await import('./debug.js');
      await debug(flags);
    });
}
