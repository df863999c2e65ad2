/** Writes credentials where `findCredentials` finds them: to a file, or to the credential helper that it names. */
import { chown, mkdir, realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  SYSTEM_AUTH_FILE,
  dockerAuthFile,
  helperFor,
  isKeyOf,
  keyOf,
  namedAuthFile,
  readAuthFile,
  registryOf,
} from './auth.js';
import type { AuthFile, AuthOptions, Credentials } from './auth.js';
import { eraseFromHelper, storeWithHelper } from './credential-helper.js';
import { AuthFileError, errorCode } from './errors.js';
import { removeLeftovers, withLock, writeAtomically } from './files.js';

/** The file that a login is kept in: the one named, else root's own, else the user's that docker shares. */
export function loginFile(options: AuthOptions = {}, uid = process.getuid?.()): string {
  return namedAuthFile(options) ?? (uid === 0 ? SYSTEM_AUTH_FILE : dockerAuthFile(options));
}

/**
 * Keeps `credentials` for `registry` in `file`, or with the helper that the file names for it.
 * @returns the helper's program, if one keeps them
 * @throws AuthFileError, CredentialHelperError
 */
export async function keepCredentials(
  file: string,
  registry: string,
  credentials: Credentials,
): Promise<string | undefined> {
  const helper = helperFor(await readIfThere(file), file, registry);
  if (helper !== undefined) await storeWithHelper(helper, keyOf(registry), credentials);
  const { username, password } = credentials;
  const auth = Buffer.from(`${username}:${password}`).toString('base64');
  await change(file, (config) => {
    const auths = (config.auths ??= {});
    for (const key of Object.keys(auths).filter((each) => isKeyOf(each, registry))) delete auths[key];
    // Docker leaves an empty entry, too, so that a file tells what its helper has.
    auths[keyOf(registry)] = helper === undefined ? { auth } : {};
  });
  return helper && `docker-credential-${helper.name}`;
}

/**
 * Removes the credentials for `registry`, or for all registries that the file knows, from `file` and its helpers.
 * @returns the registries there were credentials for
 * @throws AuthFileError, CredentialHelperError
 */
export async function forgetCredentials(file: string, registry: string | undefined): Promise<string[]> {
  const config = await readIfThere(file);
  const { auths = {}, credHelpers = {} } = config;
  const known = [...Object.keys(auths), ...Object.keys(credHelpers)].map(registryOf);
  const forgotten = new Set<string>();
  for (const each of registry === undefined ? new Set(known) : [registry]) {
    const helper = helperFor(config, file, each);
    if (helper !== undefined && (await eraseFromHelper(helper, keyOf(each)))) forgotten.add(each);
  }
  const isMeant = (key: string): boolean => registry === undefined || isKeyOf(key, registry);
  if (!Object.keys(auths).some(isMeant)) return [...forgotten];
  await change(file, ({ auths: entries = {} }) => {
    for (const key of Object.keys(entries).filter(isMeant)) {
      if (Object.keys(entries[key] ?? {}).length > 0) forgotten.add(registry ?? registryOf(key));
      delete entries[key];
    }
  });
  return [...forgotten];
}

async function readIfThere(file: string): Promise<AuthFile> {
  try {
    return (await readAuthFile(file, true)) ?? {};
  } catch (error) {
    if (error instanceof AuthFileError && errorCode(error.cause) === 'ENOENT') return {};
    throw error;
  }
}

/** Changes the file, or makes it: as a whole, for its owner's eyes only, and not while another `ig` does. */
async function change(file: string, edit: (config: AuthFile) => void): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    // A link stays one.
    const path = await realpath(file).catch(() => file);
    await withLock(dirname(path), async () => {
      await removeLeftovers(dirname(path));
      const config = await readIfThere(path);
      edit(config);
      const owner = await stat(path).catch(() => undefined);
      const text = `${JSON.stringify(config, null, '\t')}\n`;
      await writeAtomically(path, [Buffer.from(text)], dirname(path), undefined, 0o600);
      if (owner !== undefined) await chown(path, owner.uid, owner.gid);
    });
  } catch (cause) {
    if (errorCode(cause) === undefined) throw cause;
    throw new AuthFileError(
      `cannot write the credentials file ${file}: ${(cause as Error).message}; another can be named with --authfile`,
      { cause },
    );
  }
}
