// `ig config default` and `ig config view`: settings as YAML with a comment each, or as JSON.

import { writeSync } from 'node:fs';
import { type Config, type EffectiveSetting, loadConfig } from '../config/config.js';
import { SETTINGS, environmentName } from '../config/settings.js';
import type { ConfigViewFlags } from './config-commands.js';
import { UsageError, say } from './fail.js';

/** Prints a configuration file in which every setting has its default. */
export function printDefaults(): void {
  const lines = SETTINGS.map((setting) => {
    const example = setting.example === undefined ? '' : `; such as ${setting.example}`;
    return {
      key: setting.key,
      value: setting.default,
      above: `${setting.description}${example}\n${environmentName(setting.key)}`,
    };
  });
  writeSync(1, `# Settings of ig: ~/.ig/config.yaml, or /etc/ig/config.yaml for every user.\n${yaml(lines)}`);
}

/** Prints what is in force. Throws ConfigError, or UsageError for an unknown mode. */
export async function viewConfig(flags: ConfigViewFlags): Promise<void> {
  const { output, ...rest } = flags;
  const config = await loadConfig(rest);
  for (const warning of config.warnings) say(`Warning: ${warning}`);
  switch (output) {
    case 'json':
      writeSync(1, `${JSON.stringify(asObject(config), null, 2)}\n`);
      break;
    case 'yaml':
      writeSync(
        1,
        yaml(config.settings.map(({ setting, value, from }) => ({ key: setting.key, value, behind: from }))),
      );
      break;
    default:
      throw new UsageError(`\`ig config view\` prints yaml or json, not ${output}`);
  }
}

function asObject({ settings }: Config): Record<string, { value: unknown; from: string }> {
  return Object.fromEntries(
    settings.map(({ setting, value, from }: EffectiveSetting) => [setting.key, { value, from }]),
  );
}

interface Line {
  readonly key: string;
  readonly value: unknown;
  /** Comments, in lines above the key or at the end of its line. */
  readonly above?: string;
  readonly behind?: string;
}

/** Dotted keys as nested ones; values in JSON, which is YAML too. */
function yaml(lines: readonly Line[]): string {
  let open: readonly string[] = [];
  let text = '';
  for (const { key, value, above, behind } of lines) {
    const path = key.split('.');
    const parents = path.slice(0, -1);
    let depth = 0;
    while (depth < parents.length && parents[depth] === open[depth]) depth++;
    for (; depth < parents.length; depth++) text += `${'  '.repeat(depth)}${parents[depth]}:\n`;
    open = parents;
    const indent = '  '.repeat(parents.length);
    for (const comment of above?.split('\n') ?? []) text += `${indent}# ${comment}\n`;
    text += `${indent}${path.at(-1)}: ${JSON.stringify(value)}${behind === undefined ? '' : ` # ${behind}`}\n`;
  }
  return text;
}
