// Shell completion: a script that completes commands, their flags, and the names of gadgets.

import type { Command, Option } from 'commander';
import { UsageError } from './fail.js';
import { runOptions } from './run-flags.js';

/** The script for `bash`, `zsh` or `fish`. Throws UsageError for another shell. */
export function completion(shell: string, program: Command): string {
  switch (shell) {
    case 'bash':
      return bash(program);
    case 'zsh':
      return `autoload -U +X bashcompinit && bashcompinit\n${bash(program)}`;
    case 'fish':
      return fish(program);
    default:
      throw new UsageError(`completion knows bash, zsh and fish, not ${JSON.stringify(shell)}`);
  }
}

/** The flags of a command that its help shows; those of `run` and the views are read without commander. */
function flagsOf(command: Command): readonly Option[] {
  const isRun = [command, command.parent].some((each) => ['run', 'trace'].includes(each?.name() ?? ''));
  return (isRun ? runOptions() : command.options).filter(({ hidden }) => !hidden);
}

/** Cases of bash for flags that take one of a few words; `head` begins the pattern, whose quote it leaves open. */
function choicesOf(command: Command, head: string): string[] {
  return flagsOf(command).flatMap(({ long, argChoices }) =>
    argChoices === undefined ? [] : `    ${head}${long}') words="${argChoices.join(' ')}" ;;`,
  );
}

function bash(program: Command): string {
  const names = (commands: readonly Command[]): string => commands.map((command) => command.name()).join(' ');
  const flags = (command: Command): string =>
    [...new Set([...flagsOf(command).flatMap(({ long }) => long ?? []), '--help'])].join(' ');
  const cases = program.commands.flatMap((command) => [
    ...command.commands.map(
      (part) => `        '${command.name()} ${part.name()}') flags="${flags(part)}" ;;`,
    ),
    `        '${command.name()} '*) flags="${flags(command)}" ;;`,
  ]);
  const choices = program.commands.flatMap((command) => [
    ...command.commands.flatMap((part) => choicesOf(part, `'${command.name()} ${part.name()} `)),
    ...choicesOf(command, `'${command.name()} '*' `),
  ]);
  const parts = program.commands
    .filter((command) => command.commands.length > 0)
    .map((command) => `        ${command.name()}) words="${names(command.commands)}" ;;`);
  return `_ig() {
    local word=\${COMP_WORDS[COMP_CWORD]} command=\${COMP_WORDS[1]} part=\${COMP_WORDS[2]-} flags= words=
    case "$command $part \${COMP_WORDS[COMP_CWORD-1]}" in
${choices.join('\n')}
    esac
    if [ -n "$words" ]; then
        COMPREPLY=($(compgen -W "$words" -- "$word"))
        return
    fi
    if [ "$COMP_CWORD" = 1 ]; then
        COMPREPLY=($(compgen -W "${names(program.commands)} --help --verbose" -- "$word"))
    elif [[ $word == -* ]]; then
        case "$command $part" in
${cases.join('\n')}
        esac
        COMPREPLY=($(compgen -W "$flags" -- "$word"))
    elif [ "$COMP_CWORD" = 2 ] && [[ $command != run && $command != replay ]]; then
        case $command in
${parts.join('\n')}
        completion) words="bash zsh fish" ;;
        esac
        COMPREPLY=($(compgen -W "$words" -- "$word"))
    else
        case "$command $part" in
        'run '* | 'image '*) words=$(ig list-gadgets -o names 2>/dev/null) ;;
        esac
        COMPREPLY=($(compgen -W "$words" -- "$word") $(compgen -f -- "$word"))
    fi
}
complete -F _ig ig
`;
}

function fish(program: Command): string {
  const quote = (text: string): string => `'${text.split('\n', 1)[0]!.replaceAll("'", '')}'`;
  const seen = (...commands: readonly string[]): string =>
    `'${commands.map((name) => `__fish_seen_subcommand_from ${name}`).join('; and ')}'`;
  const lines: string[] = [];
  const add = (command: Command, condition: string): void => {
    lines.push(`complete -c ig -n ${condition} -f -a ${command.name()} -d ${quote(command.description())}`);
  };
  const addFlags = (options: readonly Option[], condition: string): void => {
    for (const { short, long, description, argChoices } of options) {
      const letter = short === undefined ? '' : ` -s ${short.slice(1)}`;
      const choices = argChoices === undefined ? '' : ` -x -a '${argChoices.join(' ')}'`;
      lines.push(
        `complete -c ig -n ${condition}${letter} -l ${long!.slice(2)}${choices} -d ${quote(description)}`,
      );
    }
  };
  for (const command of program.commands) {
    const name = command.name();
    add(command, '__fish_use_subcommand');
    addFlags(flagsOf(command), seen(name));
    for (const part of command.commands) {
      add(part, seen(name));
      if (name !== 'trace') addFlags(flagsOf(part), seen(name, part.name()));
    }
  }
  lines.push(`complete -c ig -n ${seen('run')} -a '(ig list-gadgets -o names)'`);
  lines.push(`complete -c ig -n ${seen('image')} -a '(ig list-gadgets -o names)'`);
  return `${lines.join('\n')}\n`;
}
