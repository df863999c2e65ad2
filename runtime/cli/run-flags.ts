// The flags that every gadget takes, and how they and the gadget's own flags are read from the command line.

import { Command, CommanderError, Option } from 'commander';
import type { Param } from '../gadget/params.js';
import { type ContainerFlags, engineOptions, selectionOptions } from './container-flags.js';
import { UsageError } from './fail.js';
import { BOOLEAN_FLAGS, type ImageFlags, imageOptions } from './image-flags.js';
import { list, number } from './option-values.js';
import type { StatsFlags } from './stats.js';
import { type WasmFlags, wasmOptions, watchOption } from './wasm-flags.js';

/** Which events are shown, and how. */
export interface OutputFlags {
  readonly fields?: string;
  readonly output: string;
  readonly filter: readonly string[];
  readonly sort?: string;
  readonly maxEntries: number;
}

/** What the user gave, after both readings. */
export interface RunFlags extends ContainerFlags, ImageFlags, OutputFlags, StatsFlags, WasmFlags {
  readonly timeout: number;
  readonly record?: string;
  readonly summary?: boolean;
  readonly watch?: boolean;
  readonly ociStoreUser?: boolean;
  readonly validateMetadata?: boolean;
  readonly verbose: boolean;
  readonly help: boolean;
}

/** What a timer can wait (2^31 - 1 ms), in whole seconds. */
const LONGEST_TIMEOUT_S = 2_147_483;

/** Flags that belong together, under a heading of the help. */
export interface OptionGroup {
  readonly title: string;
  readonly options: readonly Option[];
}

/** Flags of `ig run` and of the classic views. */
export function runOptions(): Option[] {
  return runOptionGroups().flatMap(({ options }) => options);
}

function outputOptions(): Option[] {
  return [
    new Option(
      '-F, --filter <rules>',
      'only events that match: field==value, also != >= > <= < ~ (regex) !~; "," = and; ds:field of one data source',
    ).argParser(list),
    new Option(
      '--fields <names>',
      'fields to show: a comma list, or changes to the default: +field,-field; by data source: "ds:a,b;ds2:c"',
    ),
    new Option(
      '-o, --output <mode>',
      'columns, json, jsonpretty, yaml or none; by data source: ds:none,ds2:json',
    ).default('columns'),
    new Option(
      '--sort <fields>',
      'order of snapshots: a comma list; "-" before a field = descending; by data source: "ds:a;ds2:-b"',
    ),
    new Option('--max-entries <n>', 'longest snapshot to show; -1 = all')
      .default(-1)
      .argParser(number(-1, Number.MAX_SAFE_INTEGER)),
  ];
}

/** Flags of `ig replay`: those of `ig run` that need no kernel and no engine. */
export function replayOptionGroups(): OptionGroup[] {
  return [
    { title: 'Whose events, of those recorded', options: selectionOptions() },
    {
      title: 'Which of them, and how',
      options: [
        ...outputOptions(),
        new Option('-v, --verbose', 'say what was recorded; add causes to errors'),
        new Option('-h, --help', 'show help; with a recording, the fields of its events'),
      ],
    },
    { title: 'Wasm filters', options: wasmOptions() },
    { title: 'Images of filters', options: imageOptions() },
  ];
}

function statsOptions(): Option[] {
  return [
    new Option(
      '--stats',
      'say at the end on stderr: rates, latencies, CPU, memory, time by stage and program',
    ),
    new Option('--stats-interval <seconds>', 'also a line every so often').argParser(
      number(0.1, LONGEST_TIMEOUT_S),
    ),
    new Option('--stats-output <file>', 'the same as lines of JSON into a file, and not on stderr'),
  ];
}

export function runOptionGroups(): OptionGroup[] {
  return [
    { title: 'Whose events', options: selectionOptions() },
    {
      title: 'Which of them, and how',
      options: [
        ...outputOptions(),
        new Option('--summary', 'end JSON or YAML with a record of what was delivered and lost'),
        new Option('--record <file>', 'also keep the events in a file, for `ig replay`'),
        new Option('-t, --timeout <seconds>', 'stop by itself; 0 = at Ctrl-C')
          .default(0)
          .argParser(number(0, LONGEST_TIMEOUT_S)),
        new Option('-v, --verbose', 'say which image ran and from where; add causes and logs to errors'),
        new Option('-h, --help', 'show help; with an image, the flags and fields of that gadget'),
      ],
    },
    { title: 'Wasm filters', options: [...wasmOptions(), watchOption()] },
    { title: 'How ig itself does', options: statsOptions() },
    { title: 'Container engines', options: engineOptions() },
    { title: 'Image', options: imageOptions() },
  ];
}

/** The first reading, before the image is known: flags that the gadget may have are passed over. */
export function readImage(
  words: readonly string[],
  options: readonly Option[],
): { image: string | undefined; flags: RunFlags } {
  const command = makeCommand(options).allowUnknownOption();
  parse(command, joinBooleans(words, []));
  return { image: command.args.find((word) => !word.startsWith('-')), flags: flagsOf(command) };
}

/** The second reading, with the gadget's parameters as flags. Throws UsageError for what nobody knows. */
export function readFlags(
  words: readonly string[],
  options: readonly Option[],
  params: readonly Param[],
): { operands: string[]; flags: RunFlags; values: Map<string, string> } {
  const command = makeCommand([...options, ...params.map(paramOption)]);
  parse(command, joinBooleans(words, params));
  const given = command.opts<Record<string, unknown>>();
  const values = new Map<string, string>();
  for (const param of params) {
    const value = given[paramOption(param).attributeName()];
    if (typeof value === 'string') values.set(param.key, value);
  }
  return { operands: command.args, flags: flagsOf(command), values };
}

/** A gadget's parameter as a flag of its own. */
export function paramOption(param: Param): Option {
  const short = param.alias === undefined ? '' : `-${param.alias}, `;
  const fallback = param.defaultValue === '' ? '' : ` (default: ${param.defaultValue})`;
  const must = param.mandatory ? ' (required)' : '';
  return new Option(`${short}--${param.key} <${param.type}>`, `${param.description}${must}${fallback}`);
}

/** `--paths` alone means true, as in the peer's command line, so that it never eats the next word. */
function joinBooleans(words: readonly string[], params: readonly Param[]): string[] {
  const booleans = new Set([
    ...BOOLEAN_FLAGS,
    ...params
      .filter((param) => param.type === 'bool')
      .flatMap((param) => [`--${param.key}`, `-${param.alias ?? param.key}`]),
  ]);
  const joined: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (!booleans.has(word)) joined.push(word);
    else if (/^(true|false)$/.test(words[i + 1] ?? '')) joined.push(word, words[++i]!);
    else joined.push(word, 'true');
  }
  return joined;
}

function makeCommand(options: readonly Option[]): Command {
  const command = new Command().helpOption(false).exitOverride().allowExcessArguments();
  command.configureOutput({ writeErr: () => undefined });
  for (const option of options) {
    // The runtime's own flags win over a gadget's parameter of the same name.
    if (!command.options.some((known) => known.long === option.long)) command.addOption(option);
  }
  return command;
}

function parse(command: Command, words: readonly string[]): void {
  try {
    command.parse(words, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    throw new UsageError(commanderMistake(error));
  }
}

/** What commander says of a mistake, as the rest of a sentence. */
export function commanderMistake(error: CommanderError): string {
  if (error.code === 'commander.help') return 'which command? Try `ig --help`';
  return error.message.replace(/^error: /, '').replace(/\n\(Did you mean (.*?)\?\)/, '; did you mean $1?');
}

function flagsOf(command: Command): RunFlags {
  const none = { filter: [], verbose: false, help: false };
  return { ...none, ...command.opts<RunFlags>() };
}
