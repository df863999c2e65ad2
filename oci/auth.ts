/** Finds the credentials for a registry in docker's configuration files, and reads a registry's challenge. */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { AuthFileError, errorCode } from './errors.js';

export interface Credentials {
  username: string;
  password: string;
}

export interface CredentialLookup {
  credentials: Credentials | undefined;
  /** The files that were looked at, for the user who is refused; also those that do not exist. */
  files: string[];
}

export interface AuthOptions {
  /** What `--authfile` names: the only file looked at, and it has to exist. */
  authFile?: string;
  env?: Readonly<Record<string, string | undefined>>;
  home?: string;
}

/** Keys under which docker keeps the credentials for `docker.io`. */
const DOCKER_HUB_KEYS = ['index.docker.io', 'docker.io'];

/**
 * Looks `registry` up in `--authfile`, else in the file REGISTRY_AUTH_FILE names, else in
 * `/var/lib/ig/config.json` and `~/.docker/config.json`.
 * @throws AuthFileError when a named file is missing or any file is malformed
 */
export async function findCredentials(
  registry: string,
  options: AuthOptions = {},
): Promise<CredentialLookup> {
  const named = options.authFile ?? (options.env ?? process.env)['REGISTRY_AUTH_FILE'];
  const files =
    named !== undefined && named !== ''
      ? [named]
      : ['/var/lib/ig/config.json', join(options.home ?? homedir(), '.docker', 'config.json')];
  for (const file of files) {
    const credentials = await readCredentials(file, registry, file === named);
    if (credentials !== undefined) return { credentials, files };
  }
  return { credentials: undefined, files };
}

async function readCredentials(
  file: string,
  registry: string,
  required: boolean,
): Promise<Credentials | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    // A default file that this user may not read is as good as none.
    if (!required && ['ENOENT', 'EACCES', 'ENOTDIR'].includes(errorCode(cause) ?? '')) return undefined;
    const why = errorCode(cause) === 'ENOENT' ? 'there is no such file' : (cause as Error).message;
    throw new AuthFileError(`cannot read the credentials file ${file}: ${why}`, {
      cause,
    });
  }
  try {
    return credentialsIn(JSON.parse(text), registry);
  } catch (cause) {
    throw new AuthFileError(`the credentials file ${file} is not a docker config.json`, { cause });
  }
}

/** Keys of `auths` are hosts, or URLs as old docker versions wrote them (`https://index.docker.io/v1/`). */
function credentialsIn(config: unknown, registry: string): Credentials | undefined {
  const auths = (config as { auths?: Record<string, unknown> }).auths ?? {};
  const wanted = DOCKER_HUB_KEYS.includes(registry) ? DOCKER_HUB_KEYS : [registry];
  for (const [key, value] of Object.entries(auths)) {
    const host = key.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
    if (!wanted.includes(host)) continue;
    const credentials = decode(value as { auth?: unknown; username?: unknown; password?: unknown });
    if (credentials !== undefined) return credentials;
  }
  return undefined;
}

function decode(entry: { auth?: unknown; username?: unknown; password?: unknown }): Credentials | undefined {
  if (typeof entry.auth === 'string' && entry.auth !== '') {
    const text = Buffer.from(entry.auth, 'base64').toString('utf8');
    const colon = text.indexOf(':');
    if (colon > 0) return { username: text.slice(0, colon), password: text.slice(colon + 1) };
  }
  if (typeof entry.username === 'string' && typeof entry.password === 'string') {
    return { username: entry.username, password: entry.password };
  }
  return undefined;
}

/** The value of an `Authorization` header. */
export function basicAuthorization({ username, password }: Credentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/** What a registry asks for in `WWW-Authenticate`. */
export interface Challenge {
  scheme: 'basic' | 'bearer';
  parameters: Record<string, string>;
}

/** Parses a `WWW-Authenticate` value (RFC 9110, 11.6.1); `undefined` if it offers no scheme known here. */
export function parseChallenge(header: string): Challenge | undefined {
  const text = header.slice(0, 4096);
  const start = /(?:^|[\s,])(Bearer|Basic)(?=\s|$)/i.exec(text);
  const scheme = start?.[1]?.toLowerCase();
  if (start === null || (scheme !== 'basic' && scheme !== 'bearer')) return undefined;
  const parameters: Record<string, string> = {};
  for (const match of text.slice(start.index).matchAll(/(\w+)="([^"]*)"/g)) {
    const [, name = '', value = ''] = match;
    parameters[name.toLowerCase()] ??= value;
  }
  return { scheme, parameters };
}
