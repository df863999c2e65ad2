// Shell completion: a script that completes commands, their flags, and the names of gadgets.

import type { Command, Option } from 'commander';
import { UsageError } from './fail.js';
import { listContainersOptions } from './list-containers-flags.js';
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

function bash(program: Command): string {
  const commands = program.commands.map((command) => command.name()).join(' ');
  const flagsOf = (options: readonly Option[]): string =>
    options.flatMap((option) => option.long ?? []).join(' ');
  return `_ig() {
    local word=\${COMP_WORDS[COMP_CWORD]} command=\${COMP_WORDS[1]}
    if [ "$COMP_CWORD" = 1 ]; then
        COMPREPLY=($(compgen -W "${commands} --help --verbose" -- "$word"))
    elif [[ $word == -* ]]; then
        case $command in
        run | trace) COMPREPLY=($(compgen -W "${flagsOf(runOptions())}" -- "$word")) ;;
        list-containers) COMPREPLY=($(compgen -W "${flagsOf(listContainersOptions())} --help" -- "$word")) ;;
        *) COMPREPLY=($(compgen -W "--output --help" -- "$word")) ;;
        esac
    else
        case $command in
        run) COMPREPLY=($(compgen -W "$(ig list-gadgets -o names 2>/dev/null)" -- "$word") $(compgen -f -- "$word")) ;;
        trace) COMPREPLY=($(compgen -W "exec" -- "$word")) ;;
        completion) COMPREPLY=($(compgen -W "bash zsh fish" -- "$word")) ;;
        esac
    fi
}
complete -F _ig ig
`;
}

function fish(program: Command): string {
  const quote = (text: string): string => `'${text.split('\n', 1)[0]!.replaceAll("'", '')}'`;
  const lines = program.commands.map(
    (command) =>
      `complete -c ig -n __fish_use_subcommand -f -a ${command.name()} -d ${quote(command.description())}`,
  );
  const addFlags = (commands: string, options: readonly Option[]): void => {
    for (const option of options) {
      const short = option.short === undefined ? '' : ` -s ${option.short.slice(1)}`;
      lines.push(
        `complete -c ig -n '__fish_seen_subcommand_from ${commands}'${short} -l ${option.long!.slice(2)} -d ${quote(option.description)}`,
      );
    }
  };
  addFlags('run trace', runOptions());
  addFlags('list-containers', listContainersOptions());
  lines.push(`complete -c ig -n '__fish_seen_subcommand_from run' -a '(ig list-gadgets -o names)'`);
  lines.push(`complete -c ig -n '__fish_seen_subcommand_from trace' -f -a exec`);
  return `${lines.join('\n')}\n`;
}
