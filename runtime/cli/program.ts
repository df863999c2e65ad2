// What `ig` can do: names its commands; each command's code is loaded only when it runs.

import { writeSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { UsageError, fail } from './fail.js';
import {
  LIST_CONTAINERS_HELP,
  type ListContainersFlags,
  listContainersOptions,
} from './list-containers-flags.js';
import type { ReplayFlags } from './replay.js';
import { commanderMistake, replayOptionGroups } from './run-flags.js';
import { version } from './version.js';

const program = new Command('ig')
  .description(
    'See what processes, containers and pods really do.\n\n' +
      'A gadget is an OCI image with an eBPF program, and perhaps a Wasm module,\n' +
      'that shows one thing. `ig run` takes a built-in one, or pulls it, and prints\n' +
      'its events as columns, JSON or YAML.',
  )
  .helpOption('-h, --help', 'show help')
  .version(`v${version()}`, '--version', 'print the version')
  .exitOverride()
  .configureOutput({ outputError: () => undefined })
  .addHelpText(
    'after',
    `
Examples:
  ig run trace_exec --host                   # every process this machine starts
  ig run trace_exec -c my-container -o json  # those of one container, as JSON
  ig run trace_exec -h                       # the gadget's own flags and fields
  ig run trace_exec --host --record execs.ig # also kept in a file
  ig replay execs.ig -F comm==bash -o yaml   # that run again, without root, and shown otherwise
  ig gadget new my-filter --filter --lang c  # a Wasm filter of your own, with its test
  ig list-gadgets                            # what there is to run
  ig list-containers                         # whose events it can show
  source <(ig completion bash)               # complete commands and flags`,
  );

program
  .command('run [image]')
  .description('run a gadget')
  .helpOption(false)
  .allowUnknownOption()
  .allowExcessArguments()
  .action(async (_image, _options, command: Command) => {
    const { run } = await import('./run.js');
    await run(wordsBehind(command));
  });

const replay = program
  .command('replay [file]')
  .description('show a run again that `ig run --record` has recorded: without root, on any machine')
  .helpOption(false)
  .action(async (file: string | undefined, flags: ReplayFlags) => {
    const { replayFile } = await import('./replay.js');
    await replayFile(file, flags);
  });
for (const option of replayOptionGroups().flatMap(({ options }) => options)) replay.addOption(option);

const trace = program.command('trace').description('classic views of gadgets: `ig trace exec`');
trace
  .command('exec')
  .description('trace new processes: the columns of the classic `trace exec`')
  .helpOption(false)
  .allowUnknownOption()
  .allowExcessArguments()
  .action(async (_options, command: Command) => {
    const { traceExec } = await import('./trace-exec.js');
    await traceExec(wordsBehind(command));
  });

program
  .command('list-gadgets')
  .description('list the built-in gadgets and those in the local store')
  .option('-o, --output <mode>', 'columns, json or names', 'columns')
  .addHelpText('after', '\nExample:\n  ig list-gadgets -o json')
  .action(async (options: { output: string }) => {
    const { listGadgets } = await import('./list-gadgets.js');
    await listGadgets(options.output);
  });

const containers = program
  .command('list-containers')
  .description('list the containers of this machine, or watch them come and go')
  .addHelpText('after', LIST_CONTAINERS_HELP)
  .action(async (flags: ListContainersFlags) => {
    const { listContainers } = await import('./list-containers.js');
    await listContainers(flags);
  });
for (const option of listContainersOptions()) containers.addOption(option);

/** Commands whose many flags are declared only when somebody asks for them, or for all commands. */
const DECLARED: Readonly<Record<string, () => Promise<Command>>> = {
  image: async () => (await import('./image/commands.js')).imageCommand(),
  gadget: async () => (await import('./gadget/commands.js')).gadgetCommand(),
  login: async () => (await import('./login-commands.js')).loginCommand(),
  logout: async () => (await import('./login-commands.js')).logoutCommand(),
  config: async () => (await import('./config-commands.js')).configCommand(),
  debug: async () => (await import('./debug-command.js')).debugCommand(),
};

const [asked = ''] = process.argv.slice(2);
const isDeclared = asked === 'version' || program.commands.some((command) => command.name() === asked);
for (const [name, declare] of isDeclared ? [] : Object.entries(DECLARED)) {
  if (name !== asked && Object.hasOwn(DECLARED, asked)) continue;
  const group = await declare();
  program.addCommand(group);
  // What `program.command()` does by itself: how mistakes are told, what help is.
  for (const part of [group, ...group.commands]) part.copyInheritedSettings(program);
}

program
  .command('version')
  .description('print the version')
  .addHelpText('after', '\nExample:\n  ig version')
  .action(() => {
    writeSync(1, `v${version()}\n`);
  });

program
  .command('completion <shell>')
  .description('print a completion script for bash, zsh or fish')
  .addHelpText(
    'after',
    '\nExamples:\n  source <(ig completion bash)\n  ig completion fish > ~/.config/fish/completions/ig.fish',
  )
  .action(async (shell: string) => {
    const { completion } = await import('./completion.js');
    writeSync(1, completion(shell, program));
  });

/** The words behind the command's own name, as the user typed them. */
function wordsBehind(command: Command): string[] {
  const words = process.argv.slice(2);
  for (let at: Command | null = command; at?.parent; at = at.parent)
    words.splice(words.indexOf(at.name()), 1);
  return words;
}

try {
  await program.parseAsync();
} catch (error) {
  // Help and version end this way too, with status 0.
  if (error instanceof CommanderError && error.exitCode === 0) process.exit(0);
  fail(
    error instanceof CommanderError ? new UsageError(commanderMistake(error)) : error,
    process.argv.includes('--verbose') || process.argv.includes('-v'),
  );
}
