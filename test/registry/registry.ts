/** Starts a real docker-registry on a free loopback port, with its own configuration and storage. */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { until } from '../until.js';
import { createTemporaryDirectory, removeDirectory } from './images.js';

export interface RegistryKind {
  /** Requires this user and password (htpasswd). */
  login?: { username: string; password: string };
  /** Requires a token of this server, as `auth: token` of its configuration names it. */
  token?: { realm: string; service: string; issuer: string; rootcertbundle: string };
  /** Speaks TLS with a certificate signed by its own CA. */
  tls?: boolean;
}

export interface RunningRegistry {
  /** `localhost:PORT`. */
  host: string;
  /** Of the CA to trust, if it speaks TLS. */
  caFile: string | undefined;
  /** Credentials as docker's config.json has them, if it requires a login. */
  authFile: string | undefined;
  stop(): Promise<void>;
}

/** Starts a registry and waits until it accepts connections; the caller stops it. */
export async function startRegistry(kind: RegistryKind = {}): Promise<RunningRegistry> {
  const directory = createTemporaryDirectory();
  const port = await freePort();
  const host = `localhost:${port}`;
  const tls = kind.tls === true ? makeCertificate(directory) : undefined;
  const authFile = kind.login === undefined ? undefined : writeLogin(directory, host, kind.login);
  const config = join(directory, 'config.yml');
  const access = { realm: 'test', path: join(directory, 'htpasswd') };
  writeFileSync(
    config,
    // JSON is YAML too.
    JSON.stringify({
      version: '0.1',
      log: { level: 'warn', accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: join(directory, 'data') } },
      http: { addr: `127.0.0.1:${port}`, ...(tls === undefined ? {} : { tls }) },
      ...(authFile === undefined ? {} : { auth: { htpasswd: access } }),
      ...(kind.token === undefined ? {} : { auth: { token: kind.token } }),
    }),
  );
  const log = join(directory, 'log');
  const logFd = openSync(log, 'w');
  const child = spawn('docker-registry', ['serve', config], { stdio: ['ignore', logFd, logFd] });
  closeSync(logFd);
  const stop = async (): Promise<void> => {
    await terminate(child);
    removeDirectory(directory);
  };
  await waitUntilReady(child, port, log).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return { host, caFile: tls?.certificate, authFile, stop };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function makeCertificate(directory: string): { certificate: string; key: string } {
  // skopeo takes a directory, and every key in it for a client's.
  const certificate = join(directory, 'certificates', 'ca.crt');
  mkdirSync(dirname(certificate));
  const key = join(directory, 'tls.key');
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1';
  const subject = ['-subj', '/CN=localhost', '-addext', names];
  const files = ['-keyout', key, '-out', certificate];
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...files, ...subject],
    { stdio: 'ignore' },
  );
  return { certificate, key };
}

function writeLogin(directory: string, host: string, login: { username: string; password: string }): string {
  const { username, password } = login;
  const line = execFileSync('htpasswd', ['-Bbn', username, password], { encoding: 'utf8' });
  writeFileSync(join(directory, 'htpasswd'), line);
  const auth = Buffer.from(`${username}:${password}`).toString('base64');
  const authFile = join(directory, 'auth.json');
  writeFileSync(authFile, JSON.stringify({ auths: { [host]: { auth } } }));
  return authFile;
}

async function waitUntilReady(child: ChildProcess, port: number, log: string): Promise<void> {
  const ready = (): Promise<boolean> => {
    if (child.exitCode !== null) throw new Error('docker-registry ended');
    return accepts(port);
  };
  await until(ready, 'docker-registry').catch((cause: unknown) => {
    throw new Error(`docker-registry did not start: ${readFileSync(log, 'utf8')}`, { cause });
  });
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const finish = (accepted: boolean) => (): void => {
      socket.destroy();
      resolve(accepted);
    };
    socket.once('connect', finish(true));
    socket.once('error', finish(false));
  });
}

async function terminate(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}

/** Copies an image of a layout into the registry with skopeo, as `HOST/NAME`. */
export function pushWithSkopeo(
  layout: string,
  reference: string,
  registry: RunningRegistry,
  name: string,
): void {
  const certificates = registry.caFile === undefined ? [] : ['--dest-cert-dir', dirname(registry.caFile)];
  const login = registry.authFile === undefined ? [] : ['--dest-authfile', registry.authFile];
  execFileSync(
    'skopeo',
    [
      'copy',
      '--all',
      '--preserve-digests',
      ...(registry.caFile === undefined ? ['--dest-tls-verify=false'] : certificates),
      ...login,
      `oci:${layout}:${reference}`,
      `docker://${registry.host}/${name}`,
    ],
    { stdio: 'pipe' },
  );
}
