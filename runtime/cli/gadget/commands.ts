// `ig gadget …`: names its commands and their flags; what a command does is loaded only when it runs.

import { Command, Option } from 'commander';
import { LANGUAGES, type Language } from '../../build/language.js';
import { UsageError } from '../fail.js';

export interface NewFlags {
  readonly lang: Language;
  readonly filter?: boolean;
}

export interface TestFlags {
  readonly update?: boolean;
  readonly verbose?: boolean;
}

/** Adds the commands of `ig gadget`. */
export function declareGadget(gadget: Command): void {
  gadget.addCommand(newCommand()).addCommand(testCommand());
}

function newCommand(): Command {
  return new Command('new')
    .description('write the folder of a new gadget, or filter, that builds and passes its test')
    .argument('<name>', 'of the gadget, and of the folder; it may be a path')
    .addOption(new Option('--lang <language>', 'language of the Wasm part').choices(LANGUAGES))
    .option('--filter', 'only the Wasm part, to run after trace_exec or any other gadget')
    .option('-v, --verbose', 'add causes to errors')
    .addHelpText(
      'after',
      `
Examples:
  ig gadget new trace_mine --lang c              # eBPF in C, and a Wasm part in C
  ig gadget new my-filter --lang rust --filter   # then: ig run trace_exec --wasm ./my-filter`,
    )
    .action(async (path: string, { lang, ...flags }: Partial<NewFlags>) => {
      if (lang === undefined) {
        throw new UsageError(`--lang is missing: the language of the Wasm part, ${LANGUAGES.join(', ')}`);
      }
      const { newGadget } = await import('./new.js');
      newGadget(path, { lang, ...flags });
    });
}

function testCommand(): Command {
  return new Command('test')
    .description(
      'build the Wasm part of a folder, and compare what it makes of recorded events with what is expected',
    )
    .argument('[folder]', 'of a gadget or filter', '.')
    .option('--update', 'write what it makes of them as what is expected')
    .option('-v, --verbose', 'show what the Wasm part logs; add causes to errors')
    .addHelpText(
      'after',
      `
The folder's test/*.ig are recordings of \`ig run --record\`, and test/NAME.expected.jsonl the events that they are
to show, as -o json prints them. A file test/test.yaml names tests that need more:

  hide:                          # compared with test/hide.expected.jsonl
    recording: execs.ig
    params: { hide: sh }         # of the Wasm part
    datasource: exec             # whose events; without, those of all
    fields: [proc.comm, args]    # of each event; without, all

It needs no root and no kernel.

Examples:
  ig gadget test ./my-filter
  ig gadget test ./my-filter --update   # then look at the difference: git diff ./my-filter/test`,
    )
    .action(async (path: string, flags: TestFlags) => {
      const { testGadget } = await import('./test.js');
      await testGadget(path, flags);
    });
}
