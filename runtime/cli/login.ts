// `ig login` and `ig logout`: credentials are checked with the registry, then kept; and removed.

import { writeSync } from 'node:fs';
import { forgetCredentials, keepCredentials, loginFile } from '../../oci/auth-file.js';
import { type Credentials, findCredentials, namedAuthFile } from '../../oci/auth.js';
import { checkCredentials, registryRoot } from '../../oci/authorizer.js';
import { HttpClient } from '../../oci/http.js';
import { parseReference } from '../../oci/reference.js';
import type { RegistryOptions } from '../../oci/registry.js';
import { loadConfig } from '../config/config.js';
import { UsageError, say } from './fail.js';
import type { LoginFlags, LogoutFlags } from './login-commands.js';
import { ask, canAsk } from './prompt.js';

const DEFAULT_REGISTRY = 'ghcr.io';
const MAX_PASSWORD_BYTES = 64 * 1024;
const TIMEOUT_MS = 30_000;

export async function login(text: string | undefined, flags: LoginFlags): Promise<void> {
  const registry = registryNamed(text);
  checkFlags(flags);
  const options = await registryOptions(flags);
  const credentials = await credentialsFor(registry, flags);
  if (!(await check(registry, credentials, flags, options))) {
    say(`Warning: registry ${registry} lets everybody in, so that it did not check the password`);
  }
  const file = loginFile(options);
  const helper = await keepCredentials(file, registry, credentials);
  const where = helper === undefined ? `in ${file}, not encrypted` : `by ${helper}`;
  print(`Logged in to ${registry} as ${credentials.username}; the password is kept ${where}.`);
}

export async function logout(text: string | undefined, flags: LogoutFlags): Promise<void> {
  if (flags.all === true && text !== undefined) {
    throw new UsageError(`\`ig logout\` takes a registry or --all, not both`);
  }
  const registry = flags.all === true ? undefined : registryNamed(text);
  const options = await registryOptions(flags);
  const file = loginFile(options);
  const forgotten = await forgetCredentials(file, registry);
  for (const each of forgotten) print(`Logged out of ${each}.`);
  if (forgotten.length === 0) {
    print(
      registry === undefined
        ? `Not logged in to any registry: ${file} has no credentials.`
        : `Not logged in to ${registry}: ${file} has no credentials for it.`,
    );
  }
  if (registry === undefined || namedAuthFile(options) !== undefined) return;
  const { source } = await findCredentials(registry, options);
  if (source !== undefined) say(`Warning: there are other credentials for ${registry} in ${source}`);
}

/** @throws UsageError */
function registryNamed(text: string = DEFAULT_REGISTRY): string {
  const registry = text.replace(/^https?:\/\//, '').replace(/\/$/, '');
  try {
    if (parseReference(`${registry}/a/b`).registry === registry) return registry;
  } catch {
    // Said below.
  }
  throw new UsageError(`a registry is HOST or HOST:PORT, such as ghcr.io, not ${JSON.stringify(text)}`);
}

function checkFlags({ username, password, passwordStdin }: LoginFlags): void {
  if (password !== undefined && passwordStdin === true) {
    throw new UsageError('--password and --password-stdin exclude each other');
  }
  if (passwordStdin === true && username === undefined) {
    throw new UsageError('--password-stdin needs --username');
  }
  if (username !== undefined) checkUsername(username);
  if (password !== undefined) {
    say('Warning: others can see a password on the command line; --password-stdin hides it');
  }
}

function checkUsername(username: string): void {
  if (username === '' || username.includes(':')) {
    throw new UsageError('a user name is not empty and has no colon');
  }
}

async function registryOptions(flags: LogoutFlags): Promise<RegistryOptions> {
  const config = await loadConfig(flags);
  for (const warning of config.warnings) say(`Warning: ${warning}`);
  return config.registry;
}

async function credentialsFor(registry: string, flags: LoginFlags): Promise<Credentials> {
  const { password: given, passwordStdin = false } = flags;
  const needed = [
    ...(flags.username === undefined ? ['--username'] : []),
    ...(given === undefined && !passwordStdin ? ['--password-stdin'] : []),
  ];
  if (needed.length > 0 && !canAsk()) {
    throw new UsageError(
      `there is no terminal to ask for user name and password: give ${needed.join(' and ')}`,
    );
  }
  const username = flags.username ?? (await ask(`User name for ${registry}: `, true)).trim();
  checkUsername(username);
  const password = given ?? (passwordStdin ? await readPassword() : await ask('Password: ', false));
  if (password === '') throw new UsageError('the password is empty');
  return { username, password };
}

/** Standard input to its end, without the line's. */
async function readPassword(): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_PASSWORD_BYTES) {
      throw new UsageError(`the password on standard input is longer than ${MAX_PASSWORD_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '');
}

/** @returns `false` when the registry does not ask who it is */
async function check(
  registry: string,
  credentials: Credentials,
  flags: LoginFlags,
  { insecureRegistries = [], caFile }: RegistryOptions,
): Promise<boolean> {
  const plainHttp = flags.plainHttp === true || insecureRegistries.includes(registry);
  const url = registryRoot(registry, plainHttp);
  const http = new HttpClient({ timeoutMs: TIMEOUT_MS, caFile, verifyTls: flags.tlsVerify });
  try {
    return await checkCredentials({ name: registry, url }, http, credentials);
  } finally {
    await http.close();
  }
}

function print(line: string): void {
  writeSync(1, `${line}\n`);
}
