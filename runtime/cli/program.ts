// What `ig` can do: names its commands; each command's code is loaded only when it runs.

import { writeSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { UsageError, fail } from './fail.js';
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

/** Adds the flags of a command, and what it does. */
type Declare = (command: Command) => void;

/** Commands of many flags, which are declared only for who asks for the command, or for all. */
const DECLARED: readonly (readonly [name: string, description: string, declare: () => Promise<Declare>])[] = [
  [
    'replay [file]',
    'show a run again that `ig run --record` has recorded: without root, on any machine',
    async () => (await import('./replay-command.js')).declareReplay,
  ],
  [
    'list-containers',
    'list the containers of this machine, or watch them come and go',
    async () => (await import('./list-containers-command.js')).declareListContainers,
  ],
  [
    'image',
    'build, sign, move and inspect gadget images (OCI): from a folder to a registry and back',
    async () => (await import('./image/commands.js')).declareImage,
  ],
  [
    'gadget',
    'write gadgets and Wasm filters: begin one, and test it on recorded events',
    async () => (await import('./gadget/commands.js')).declareGadget,
  ],
  [
    'login [registry]',
    'check the credentials for a registry and keep them for pull and push',
    async () => (await import('./login-commands.js')).declareLogin,
  ],
  [
    'logout [registry]',
    'remove the credentials for a registry',
    async () => (await import('./login-commands.js')).declareLogout,
  ],
  [
    'config',
    'show the settings that ~/.ig/config.yaml, /etc/ig/config.yaml and the environment make',
    async () => (await import('./config-commands.js')).declareConfig,
  ],
  [
    'debug',
    'show what this kernel and this process can do: what a bug report starts with',
    async () => (await import('./debug-command.js')).declareDebug,
  ],
];

const [asked = ''] = process.argv.slice(2);
for (const [name, description, declare] of DECLARED) {
  const command = program.command(name).description(description);
  if (!['help', 'completion', command.name()].includes(asked)) continue;
  (await declare())(command);
  for (const part of command.commands) part.copyInheritedSettings(program);
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

// Last, as commands inherit it: here, the flags of most are not known.
program.configureHelp({
  subcommandTerm: (command) =>
    [
      command.name(),
      ...command.registeredArguments.map((each) => (each.required ? `<${each.name()}>` : `[${each.name()}]`)),
    ].join(' '),
});

async function toldAs(error: unknown): Promise<unknown> {
  if (!(error instanceof CommanderError)) return error;
  const { commanderMistake } = await import('./run-flags.js');
  return new UsageError(commanderMistake(error));
}

try {
  await program.parseAsync();
} catch (error) {
  // Help and version end this way too, with status 0.
  if (error instanceof CommanderError && error.exitCode === 0) process.exit(0);
  fail(await toldAs(error), process.argv.includes('--verbose') || process.argv.includes('-v'));
}
