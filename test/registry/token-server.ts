/**
 * A token server as registries with `auth: token` have beside them: it checks who asks, grants what it may of what
 * is asked for, and signs that as the registry expects.
 *
 * Format: https://distribution.github.io/distribution/spec/auth/jwt/.
 */
import { execFileSync } from 'node:child_process';
import { X509Certificate, createPrivateKey, randomUUID, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createTemporaryDirectory, removeDirectory } from './images.js';
import type { RegistryKind } from './registry.js';

const ISSUER = 'ig test issuer';
const SERVICE = 'ig test registry';
/** docker-registry takes a token this much longer than it lasts. */
const GRACE_S = 60;

export interface TokenServerOptions {
  /** Passwords by user; everybody else may pull. */
  readonly users: Readonly<Record<string, string>>;
  /** Users by the identity token that stands for them. */
  readonly identities?: Readonly<Record<string, string>>;
}

/** What was granted to whom. */
export interface Grant {
  /** `undefined` = anybody. */
  readonly user: string | undefined;
  readonly method: string;
  /** What was asked for; the actions of each in alphabetical order, as the registry names them in any. */
  readonly scopes: readonly string[];
  /** What was given. */
  readonly access: readonly Access[];
}

export interface Access {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

export class TokenServer {
  readonly grants: Grant[] = [];
  /** How long the registry takes tokens from now on, and how long they are said to last. */
  lifeS = 300;
  saidLifeS = 300;
  private readonly directory = createTemporaryDirectory();
  private readonly server = createServer((request, response) => void this.respond(request, response));
  private readonly key: KeyObject;
  private readonly certificate: string;
  private readonly options: TokenServerOptions;

  static async start(options: TokenServerOptions): Promise<TokenServer> {
    const started = new TokenServer(options);
    await new Promise<void>((resolve) => started.server.listen(0, '127.0.0.1', resolve));
    return started;
  }

  private constructor(options: TokenServerOptions) {
    this.options = options;
    const keyFile = join(this.directory, 'key.pem');
    const words = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=issuer`;
    execFileSync('openssl', [...words.split(' '), '-keyout', keyFile, '-out', this.certificateFile], {
      stdio: 'ignore',
    });
    this.key = createPrivateKey(readFileSync(keyFile));
    this.certificate = new X509Certificate(readFileSync(this.certificateFile)).raw.toString('base64');
  }

  /** What a registry that takes its tokens is to be told. */
  get registryKind(): RegistryKind {
    const { port } = this.server.address() as AddressInfo;
    const realm = `http://127.0.0.1:${port}/token`;
    return { token: { realm, service: SERVICE, issuer: ISSUER, rootcertbundle: this.certificateFile } };
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
    removeDirectory(this.directory);
  }

  private get certificateFile(): string {
    return join(this.directory, 'issuer.pem');
  }

  private async respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parameters = await parametersOf(request);
    const user = this.userOf(request, parameters);
    if (user === 'refused' || parameters.get('service') !== SERVICE) {
      response.writeHead(401).end(JSON.stringify({ details: 'incorrect username or password' }));
      return;
    }
    const scopes = parameters
      .getAll('scope')
      .flatMap((scope) => scope.split(' ').filter(Boolean))
      .map((scope) => scope.replace(/[a-z,]+$/, (actions) => actions.split(',').sort().join()));
    const access = scopes.map((scope) => accessFor(scope, user.name));
    this.grants.push({ user: user.name, method: request.method ?? '', scopes, access });
    const token = this.sign(user.name ?? '', access);
    response.end(JSON.stringify({ access_token: token, token, expires_in: this.saidLifeS }));
  }

  private userOf(request: IncomingMessage, parameters: URLSearchParams): { name?: string } | 'refused' {
    const { users, identities = {} } = this.options;
    if (request.method === 'POST') {
      const name = identities[parameters.get('refresh_token') ?? ''];
      return name === undefined || parameters.get('grant_type') !== 'refresh_token' ? 'refused' : { name };
    }
    const { authorization } = request.headers;
    if (authorization === undefined) return {};
    const [name = '', password] = Buffer.from(authorization.replace(/^Basic /, ''), 'base64')
      .toString()
      .split(':');
    return users[name] === password && password !== undefined ? { name } : 'refused';
  }

  private sign(subject: string, access: readonly Access[]): string {
    const nowS = Math.floor(Date.now() / 1000);
    const header = { typ: 'JWT', alg: 'ES256', x5c: [this.certificate] };
    const claims = {
      iss: ISSUER,
      sub: subject,
      aud: SERVICE,
      exp: nowS + this.lifeS - GRACE_S,
      nbf: nowS - GRACE_S,
      iat: nowS,
      jti: randomUUID(),
      access,
    };
    const signed = [header, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const signature = sign('sha256', Buffer.from(signed), { key: this.key, dsaEncoding: 'ieee-p1363' });
    return `${signed}.${signature.toString('base64url')}`;
  }
}

async function parametersOf(request: IncomingMessage): Promise<URLSearchParams> {
  if (request.method !== 'POST') return new URL(request.url ?? '', 'http://any').searchParams;
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return new URLSearchParams(Buffer.concat(chunks).toString());
}

/** Users may do what they ask for; anybody may pull. */
function accessFor(scope: string, user: string | undefined): Access {
  const [type = '', name = '', actions = ''] = scope.split(':');
  const wanted = actions.split(',');
  return { type, name, actions: user === undefined ? wanted.filter((action) => action === 'pull') : wanted };
}
