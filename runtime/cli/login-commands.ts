// `ig login` and `ig logout`: their flags; what they do is loaded only when they run.

import { type Command, Option } from 'commander';
import { boolean, configOption, registryOptions } from './image-flags.js';

/** What the user gave, as commander names it. */
export interface LogoutFlags {
  readonly authfile?: string;
  readonly all?: boolean;
  readonly config?: string;
  readonly verbose?: boolean;
}

export interface LoginFlags extends LogoutFlags {
  readonly username?: string;
  readonly password?: string;
  readonly passwordStdin?: boolean;
  readonly insecureRegistries?: readonly string[];
  readonly caFile?: string;
  readonly plainHttp?: boolean;
  readonly tlsVerify: boolean;
}

const WHERE = `
Without a registry, ghcr.io is meant. Credentials are kept in the file that --authfile or REGISTRY_AUTH_FILE
names, else in /var/lib/ig/config.json for root and in ~/.docker/config.json, which docker and others share, for
other users. If that file names a credential helper (credHelpers, credsStore), they are kept there instead.`;

const LOOKUP = `
Images are pulled and pushed with the credentials in the file that is named, else with those in
/var/lib/ig/config.json, ~/.docker/config.json or \${XDG_RUNTIME_DIR}/containers/auth.json, the first that has any.`;

function verboseOption(): Option {
  return new Option('-v, --verbose', 'add causes to errors');
}

function authfileOption(): Option {
  return new Option('--authfile <path>', 'credentials file to change, as docker keeps them in config.json');
}

function describeRegistry({ registeredArguments: [registry] }: Command): void {
  registry!.description = 'HOST or HOST:PORT; ghcr.io unless given';
}

/** Adds the flags of `ig login`, and what it does. */
export function declareLogin(command: Command): void {
  describeRegistry(command);
  const options = [
    new Option('-u, --username <name>', 'user name; asked for unless given'),
    new Option(
      '-p, --password <password>',
      'password or access token; others may see it on the command line',
    ),
    new Option('--password-stdin', 'take the password from standard input'),
    authfileOption(),
    new Option('--tls-verify [bool]', "check the registry's certificate").default(true).argParser(boolean),
    new Option('--plain-http', 'reach the registry over plain HTTP'),
    ...registryOptions().filter(({ long }) => long !== '--authfile'),
    configOption(),
    verboseOption(),
  ];
  for (const option of options) command.addOption(option);
  command
    .addHelpText(
      'after',
      `${WHERE}
${LOOKUP}

Examples:
  ig login                                                   # asks for what it needs
  gh auth token | ig login ghcr.io -u me --password-stdin
  ig login localhost:5000 -u me --plain-http --authfile ./auth.json`,
    )
    .action(async (registry: string | undefined, flags: LoginFlags) => {
      const { login } = await import('./login.js');
      await login(registry, flags);
    });
}

/** Adds the flags of `ig logout`, and what it does. */
export function declareLogout(command: Command): void {
  describeRegistry(command);
  const options = [
    new Option('-a, --all', 'remove the credentials for all registries'),
    authfileOption(),
    configOption(),
    verboseOption(),
  ];
  for (const option of options) command.addOption(option);
  command
    .addHelpText(
      'after',
      `${WHERE}

Examples:
  ig logout
  ig logout localhost:5000 --authfile ./auth.json
  ig logout --all`,
    )
    .action(async (registry: string | undefined, flags: LogoutFlags) => {
      const { logout } = await import('./login.js');
      await logout(registry, flags);
    });
}
