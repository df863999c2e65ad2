// Reads a configuration file: YAML, keys as of settings.ts, nested or dotted.

import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from './errors.js';
import { SETTINGS } from './settings.js';
import { checkValue } from './values.js';

export const SYSTEM_CONFIG = '/etc/ig/config.yaml';
const MAX_CONFIG_BYTES = 1 << 20;
const MAX_DEPTH = 4;
const MAX_ALIASES = 100;

/** What a file sets: by key, with the line it stands in. */
export interface ConfigFile {
  readonly path: string;
  readonly values: ReadonlyMap<string, unknown>;
  readonly warnings: readonly string[];
}

/** The user's own file, which goes before the system's. */
export function userConfigPath(home: string = homedir()): string {
  return join(home, '.ig', 'config.yaml');
}

/**
 * The files that are there, the stronger first: `named` alone, or the user's and the system's.
 * Throws ConfigError: file and line of what is wrong.
 */
export async function readConfigFiles(named: string | undefined): Promise<ConfigFile[]> {
  if (named !== undefined) return [await readConfigFile(named)];
  const paths = [userConfigPath(), SYSTEM_CONFIG].filter((path) => existsSync(path));
  return Promise.all(paths.map(readConfigFile));
}

async function readConfigFile(path: string): Promise<ConfigFile> {
  const { LineCounter, isMap, isScalar, parseDocument } = await import('yaml');
  const lines = new LineCounter();
  const document = parseDocument(readText(path), {
    lineCounter: lines,
    logLevel: 'error',
    prettyErrors: false,
  });
  const at = (offset: number | undefined): string => `${path}:${lines.linePos(offset ?? 0).line || 1}`;
  const [problem] = document.errors;
  if (problem !== undefined) {
    throw new ConfigError(`${at(problem.pos[0])}: ${problem.message.split(/ at line |\n/, 1)[0]}`);
  }
  const values = new Map<string, unknown>();
  const warnings: string[] = [];

  const visit = (node: unknown, prefix: string, depth: number): void => {
    if (!isMap(node)) throw new ConfigError(`${at(0)}: expected keys and values, such as \`mirrors: {}\``);
    for (const { key: keyNode, value } of node.items) {
      const name = isScalar(keyNode) ? String(keyNode.value) : '';
      const place = at(isScalar(keyNode) ? keyNode.range?.[0] : undefined);
      const key = `${prefix}${name}`.toLowerCase();
      const setting = SETTINGS.find((known) => known.key === key);
      if (setting !== undefined) {
        values.set(key, checkValue(setting, plain(value, place), `${place}: ${setting.key}`));
      } else if (depth < MAX_DEPTH && SETTINGS.some((known) => known.key.startsWith(`${key}.`))) {
        if (isMap(value)) visit(value, `${key}.`, depth + 1);
        else if (plain(value, place) !== null) {
          throw new ConfigError(`${place}: ${key}: expected keys and values`);
        }
      } else {
        warnings.push(unknownKey(/^[\w.-]{1,100}$/.test(key) ? key : quoted(key), place));
      }
    }
  };
  const plain = (node: unknown, place: string): unknown => {
    try {
      const { toJS } = (node ?? {}) as { toJS?: (document: unknown, options: object) => unknown };
      return toJS?.call(node, document, { maxAliasCount: MAX_ALIASES }) ?? null;
    } catch (cause) {
      throw new ConfigError(`${place}: ${(cause as Error).message}`, { cause });
    }
  };
  if (document.contents !== null) visit(document.contents, '', 0);
  return { path, values, warnings };
}

/** A key that is no word, for a message. */
function quoted(key: string): string {
  return JSON.stringify(key).slice(0, 100);
}

/** Settings of the peer's below operator.oci that do nothing here. */
const PEERS = [
  'notation-certificates',
  'notation-policy-document',
  'pull-secret',
  'annotate',
  'validate-metadata',
];

/** A mistyped trust setting must not go unnoticed; other keys may be the peer's. */
function unknownKey(key: string, place: string): string {
  const isPeers = !/^"?operator\.oci\./.test(key) || PEERS.some((name) => key === `operator.oci.${name}`);
  if (isPeers) return `${place}: ig has no setting ${key}, so it is ignored`;
  const names = SETTINGS.filter((known) => known.key.startsWith('operator.oci.')).map(({ key }) =>
    key.slice('operator.oci.'.length),
  );
  throw new ConfigError(`${place}: there is no setting ${key}; operator.oci has ${names.join(', ')}`);
}

function readText(path: string): string {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new ConfigError(`cannot read the configuration file ${path}: ${(cause as Error).message}`, {
      cause,
    });
  }
  if (bytes.length > MAX_CONFIG_BYTES) {
    throw new ConfigError(`the configuration file ${path} is larger than ${MAX_CONFIG_BYTES} bytes`);
  }
  return new TextDecoder().decode(bytes);
}
