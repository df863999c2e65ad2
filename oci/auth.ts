/**
 * Finds the credentials for a registry in the files that docker, podman and this program keep them in.
 *
 * Format: docker's config.json (`auths`, `credHelpers`, `credsStore`,
 * https://docs.docker.com/reference/cli/docker/login/) and containers-auth.json(5), whose keys may have paths.
 */
import { createReadStream } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { getFromHelper } from './credential-helper.js';
import type { CredentialHelper, Credentials } from './credential-helper.js';
import { AuthFileError, CredentialHelperError, errorCode } from './errors.js';

export type { Credentials } from './credential-helper.js';

const MAX_FILE_BYTES = 1024 * 1024;
const DOCKER_HUB = ['docker.io', 'index.docker.io', 'registry-1.docker.io'];
/** How docker itself calls Docker Hub, in files and to helpers. */
const DOCKER_HUB_KEY = 'https://index.docker.io/v1/';

export interface CredentialLookup {
  credentials: Credentials | undefined;
  /** Where they are from; `undefined` if from the user. */
  source?: string;
  /** The files that were looked at, for the user who is refused; also those that do not exist. */
  files: string[];
  /** One sentence each: helpers that could not tell. */
  failures?: string[];
}

export interface AuthOptions {
  /** What `--authfile` names: the only file looked at, and it has to exist. */
  authFile?: string;
  env?: Readonly<Record<string, string | undefined>>;
  home?: string;
}

/** A credentials file, as far as it is understood; what else is in it is kept. */
export interface AuthFile {
  auths?: Record<string, unknown>;
  /** Names of helpers by registry. */
  credHelpers?: Record<string, unknown>;
  /** The helper for all other registries. */
  credsStore?: unknown;
}

/** The file that `--authfile` or REGISTRY_AUTH_FILE names. */
export function namedAuthFile({ authFile, env = process.env }: AuthOptions): string | undefined {
  const named = authFile ?? env['REGISTRY_AUTH_FILE'];
  return named === '' ? undefined : named;
}

/** `~/.docker/config.json`, unless DOCKER_CONFIG names docker's directory. */
export function dockerAuthFile({ env = process.env, home = homedir() }: AuthOptions): string {
  const { DOCKER_CONFIG: directory } = env;
  return join(directory === undefined || directory === '' ? join(home, '.docker') : directory, 'config.json');
}

export const SYSTEM_AUTH_FILE = '/var/lib/ig/config.json';

/** Where credentials are looked for, in this order. */
function authFiles(options: AuthOptions): string[] {
  const named = namedAuthFile(options);
  if (named !== undefined) return [named];
  const { XDG_RUNTIME_DIR: runtime = '' } = options.env ?? process.env;
  const podman = runtime === '' ? [] : [join(runtime, 'containers', 'auth.json')];
  return [SYSTEM_AUTH_FILE, dockerAuthFile(options), ...podman];
}

/**
 * Looks `registry` up in `--authfile`, else in the file REGISTRY_AUTH_FILE names, else in
 * `/var/lib/ig/config.json`, docker's file and podman's. In each, the registry's own credential helper comes
 * before the one for all and that before what is in the file. A helper that fails is as one that has none.
 * @param repository what it is about: of keys with a path, the one that fits best counts
 * @throws AuthFileError when a named file is missing or any file is malformed
 */
export async function findCredentials(
  registry: string,
  options: AuthOptions = {},
  repository = '',
): Promise<CredentialLookup> {
  const named = namedAuthFile(options);
  const files = authFiles(options);
  const failures: string[] = [];
  for (const file of files) {
    const config = await readAuthFile(file, file === named);
    const found = config && (await lookUp(config, file, registry, repository, failures));
    if (found !== undefined) return { ...found, files, failures };
  }
  return { credentials: undefined, files, failures };
}

async function lookUp(
  config: AuthFile,
  file: string,
  registry: string,
  repository: string,
  failures: string[],
): Promise<{ credentials: Credentials; source: string } | undefined> {
  const helper = helperFor(config, file, registry);
  if (helper !== undefined) {
    try {
      const credentials = await getFromHelper(helper, keyOf(registry));
      if (credentials !== undefined) return { credentials, source: `docker-credential-${helper.name}` };
    } catch (error) {
      if (!(error instanceof CredentialHelperError)) throw error;
      failures.push(error.message);
    }
  }
  const credentials = storedIn(config, registry, repository);
  return credentials && { credentials, source: file };
}

/**
 * @param required whether the user named it; `undefined` is returned for others that this user cannot read
 * @throws AuthFileError
 */
export async function readAuthFile(file: string, required: boolean): Promise<AuthFile | undefined> {
  let text: string;
  try {
    text = await readBounded(file);
  } catch (cause) {
    if (cause instanceof AuthFileError) throw cause;
    if (!required && ['ENOENT', 'EACCES', 'ENOTDIR'].includes(errorCode(cause) ?? '')) return undefined;
    const why = errorCode(cause) === 'ENOENT' ? 'there is no such file' : (cause as Error).message;
    throw new AuthFileError(`cannot read the credentials file ${file}: ${why}`, { cause });
  }
  const config = text.trim() === '' ? {} : parsed(text);
  if (isAuthFile(config)) return config;
  throw new AuthFileError(
    `the credentials file ${file} is not a docker config.json: it, or one of its members, is no JSON object`,
  );
}

/** `undefined` if it is not JSON; the error would quote from the text, which holds secrets. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function readBounded(file: string): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of createReadStream(file, { end: MAX_FILE_BYTES })) chunks.push(chunk as Buffer);
  const bytes = Buffer.concat(chunks);
  if (bytes.length <= MAX_FILE_BYTES) return bytes.toString('utf8');
  throw new AuthFileError(`the credentials file ${file} is larger than ${MAX_FILE_BYTES} bytes`);
}

function isAuthFile(value: unknown): value is AuthFile {
  if (!isObject(value)) return false;
  const { auths = {}, credHelpers = {} } = value;
  return isObject(auths) && isObject(credHelpers);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The helper that keeps the credentials for `registry`, if it is not the file itself. */
export function helperFor(
  { credHelpers = {}, credsStore }: AuthFile,
  file: string,
  registry: string,
): CredentialHelper | undefined {
  const own = Object.entries(credHelpers).find(([key]) => isKeyOf(key, registry))?.[1];
  const name = own ?? credsStore;
  return typeof name === 'string' && name !== '' ? { name, file } : undefined;
}

/** The key for `registry` when it is written. */
export function keyOf(registry: string): string {
  return DOCKER_HUB.includes(registry) ? DOCKER_HUB_KEY : registry;
}

/** The registry that `key` is for, with the path if it has one. */
export function registryOf(key: string): string {
  const plain = normalized(key);
  return DOCKER_HUB.includes(plain) ? 'docker.io' : plain;
}

/** Whether what `key` has is for all of `registry`. */
export function isKeyOf(key: string, registry: string): boolean {
  return aliases(registry).includes(normalized(key));
}

function aliases(registry: string): string[] {
  return DOCKER_HUB.includes(registry) ? DOCKER_HUB : [registry];
}

/** Without what old docker versions wrote around a host: `https://index.docker.io/v1/`. */
function normalized(key: string): string {
  return /^https?:\/\//.test(key)
    ? key.replace(/^https?:\/\//, '').replace(/\/.*$/, '')
    : key.replace(/(?:\/v[12])?\/$/, '');
}

function storedIn({ auths = {} }: AuthFile, registry: string, repository: string): Credentials | undefined {
  const entries = Object.entries(auths).map(([key, value]) => [normalized(key), value] as const);
  const parts = repository.split('/').filter((part) => part !== '');
  for (let depth = parts.length; depth >= 0; depth--) {
    const wanted = aliases(registry).map((host) => [host, ...parts.slice(0, depth)].join('/'));
    for (const [key, value] of entries) {
      const credentials = wanted.includes(key) && isObject(value) ? decode(value) : undefined;
      if (credentials) return credentials;
    }
  }
  return undefined;
}

function decode({
  auth,
  username,
  password,
  identitytoken,
}: Record<string, unknown>): Credentials | undefined {
  const pair = typeof auth === 'string' ? Buffer.from(auth, 'base64').toString('utf8') : '';
  const colon = pair.indexOf(':');
  const user = colon > 0 ? pair.slice(0, colon) : username;
  // Some tools pad with NUL.
  const secret = colon > 0 ? pair.slice(colon + 1).replace(/\0+$/, '') : password;
  if (typeof identitytoken === 'string' && identitytoken !== '') {
    return { username: typeof user === 'string' ? user : '', password: '', identityToken: identitytoken };
  }
  return typeof user === 'string' && typeof secret === 'string'
    ? { username: user, password: secret }
    : undefined;
}
