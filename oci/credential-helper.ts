/**
 * Runs the programs that keep registry credentials elsewhere than in a file.
 *
 * Protocol: https://github.com/docker/docker-credential-helpers ("Development"): `docker-credential-NAME get`,
 * `store` or `erase`, with the server or the credentials on stdin and the answer on stdout.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { CredentialHelperError, errorCode, quoted } from './errors.js';

const MAX_OUTPUT_BYTES = 1024 * 1024;
const TIMEOUT_MS = 30_000;
const NAME = /^[A-Za-z0-9_.-]+$/;
/** How every helper says that it has none; it ends with a non-zero status then, too. */
const NOT_FOUND = 'credentials not found in native keychain';
/** The user name that stands for an identity token. */
const TOKEN_USER = '<token>';

/** Debian's packages of those that have one. */
const PACKAGES: Readonly<Record<string, string>> = {
  pass: 'golang-docker-credential-helpers',
  secretservice: 'golang-docker-credential-helpers',
  'ecr-login': 'amazon-ecr-credential-helper',
};

/** A name and password, or an identity token, which a token server takes in their place. */
export interface Credentials {
  username: string;
  /** Empty with an identity token. */
  password: string;
  identityToken?: string;
}

/** A helper as a credentials file names it. */
export interface CredentialHelper {
  /** The `NAME` of `docker-credential-NAME`. */
  readonly name: string;
  /** The file that names it, for messages. */
  readonly file: string;
}

/**
 * What the helper has for `server`, the key of the registry.
 * @throws CredentialHelperError
 */
export async function getFromHelper(
  helper: CredentialHelper,
  server: string,
): Promise<Credentials | undefined> {
  const { status, output, errors } = await run(helper, 'get', server);
  if (status !== 0) {
    if (output.trim() === NOT_FOUND) return undefined;
    throw failure(helper, 'get', output, errors);
  }
  const credentials = credentialsIn(output);
  if (credentials !== undefined) return credentials;
  throw new CredentialHelperError(`${called(helper)} gave something that is no credentials`);
}

/** @throws CredentialHelperError */
export async function storeWithHelper(
  helper: CredentialHelper,
  server: string,
  { username, password }: Credentials,
): Promise<void> {
  const input = JSON.stringify({ ServerURL: server, Username: username, Secret: password });
  const { status, output, errors } = await run(helper, 'store', input);
  if (status !== 0) throw failure(helper, 'store', output, errors);
}

/**
 * @returns whether there were any
 * @throws CredentialHelperError
 */
export async function eraseFromHelper(helper: CredentialHelper, server: string): Promise<boolean> {
  if ((await getFromHelper(helper, server)) === undefined) return false;
  const { status, output, errors } = await run(helper, 'erase', server);
  if (status !== 0) throw failure(helper, 'erase', output, errors);
  return true;
}

function credentialsIn(output: string): Credentials | undefined {
  try {
    const { Username: username, Secret: secret } = JSON.parse(output) as Record<string, unknown>;
    if (typeof username !== 'string' || typeof secret !== 'string') return undefined;
    return username === TOKEN_USER
      ? { username, password: '', identityToken: secret }
      : { username, password: secret };
  } catch {
    return undefined;
  }
}

interface Outcome {
  /** `null` when a signal ended it. */
  status: number | null;
  output: string;
  errors: string;
}

function run(helper: CredentialHelper, action: 'get' | 'store' | 'erase', input: string): Promise<Outcome> {
  // A path in the name would run whatever program the file names.
  if (!NAME.test(helper.name)) {
    const message = `the credentials file ${helper.file} names a credential helper that cannot be: ${quoted(helper.name)}`;
    return Promise.reject(new CredentialHelperError(message));
  }
  const child = spawn(`docker-credential-${helper.name}`, [action], { stdio: ['pipe', 'pipe', 'pipe'] });
  // One that does not read is judged by its status.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    const output = collect(child.stdout, tooMuch);
    const errors = collect(child.stderr, tooMuch);
    const timer = setTimeout(() => {
      giveUp(`did not answer within ${TIMEOUT_MS / 1000} s`);
    }, TIMEOUT_MS);
    child.once('error', (cause) => {
      clearTimeout(timer);
      reject(cannotStart(helper, cause));
    });
    child.once('close', (status) => {
      clearTimeout(timer);
      resolve({ status, output: text(output), errors: text(errors) });
    });

    function tooMuch(): void {
      giveUp(`wrote more than ${MAX_OUTPUT_BYTES} bytes`);
    }

    function giveUp(why: string): void {
      clearTimeout(timer);
      abandon(child);
      reject(new CredentialHelperError(`${called(helper)} ${why}`));
    }
  });
}

/** Its own children may still hold the pipes: they are not waited for. */
function abandon(child: ChildProcess): void {
  child.kill('SIGKILL');
  child.stdout?.destroy();
  child.stderr?.destroy();
}

function collect(stream: NodeJS.ReadableStream, tooMuch: () => void): Buffer[] {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  stream.on('data', (chunk: Buffer) => {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_OUTPUT_BYTES) tooMuch();
    else chunks.push(chunk);
  });
  return chunks;
}

function text(chunks: readonly Buffer[]): string {
  return Buffer.concat(chunks).toString('utf8');
}

function called({ name, file }: CredentialHelper): string {
  return `the credential helper docker-credential-${name}, which ${file} names,`;
}

function cannotStart(helper: CredentialHelper, cause: Error): CredentialHelperError {
  if (errorCode(cause) !== 'ENOENT') {
    return new CredentialHelperError(`${called(helper)} cannot be run: ${cause.message}`, { cause });
  }
  const name = Object.hasOwn(PACKAGES, helper.name) ? ` (Debian package ${PACKAGES[helper.name]})` : '';
  return new CredentialHelperError(
    `${called(helper)} is not installed: install it${name}, or take it out of that file`,
    { cause },
  );
}

function failure(
  helper: CredentialHelper,
  action: string,
  output: string,
  errors: string,
): CredentialHelperError {
  // Helpers complain on stdout; where one wrote credentials before it failed, they are not shown.
  const said = (action === 'get' && output.includes('{') ? '' : output.trim()) || errors.trim();
  const line = said.split('\n')[0] ?? '';
  return new CredentialHelperError(
    `${called(helper)} failed to ${action} credentials${line === '' ? '' : `: ${quoted(line)}`}`,
  );
}
