// The settings in force: flags before the environment before ~/.ig/config.yaml before /etc/ig/config.yaml.

import { readFileSync } from 'node:fs';
import type { RegistryOptions } from '../../oci/registry.js';
import type { PullPolicy } from '../../oci/resolve.js';
import { INSPEKTOR_GADGET_PUBLIC_KEY } from '../../oci/signature/default-key.js';
import type { TrustPolicyOptions } from '../../oci/signature/policy.js';
import { readConfigFiles } from './config-file.js';
import { ConfigError } from './errors.js';
import { SETTINGS, type Setting, environmentName } from './settings.js';
import { type Identity, parseVariable } from './values.js';

export interface Config {
  readonly registry: RegistryOptions;
  /** Whose signatures count. */
  readonly trust: TrustPolicyOptions;
  readonly verifyImage: boolean;
  /** Empty = all. */
  readonly allowedGadgets: readonly string[];
  readonly disallowPulling: boolean;
  readonly pull: PullPolicy;
  /** One sentence each: keys that ig does not know. */
  readonly warnings: readonly string[];
  /** Every setting's value and where it is from, in the order of SETTINGS. */
  readonly settings: readonly EffectiveSetting[];
}

export interface EffectiveSetting {
  readonly setting: Setting;
  readonly value: unknown;
  /** A file, a variable, a flag, or `default`. */
  readonly from: string;
}

/** Flags that set something here, as commander names them; others are passed over. */
export type ConfigFlags = Readonly<Record<string, unknown>> & { readonly config?: string };

/**
 * Reads the configuration; nothing of it is created.
 * Throws ConfigError: what is wrong, and in which line, variable or flag.
 */
export async function loadConfig(
  flags: object = {},
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<Config> {
  const given = flags as ConfigFlags;
  const files = await readConfigFiles(given.config);
  const settings = SETTINGS.map((setting) => effective(setting, given, env, files));
  const valueOf = new Map(settings.map(({ setting, value }) => [setting.key, value]));
  const oci = <T>(name: string): T => valueOf.get(`operator.oci.${name}`) as T;
  const authFile = oci<string>('authfile');
  const caFile = oci<string>('ca-file');
  return {
    registry: {
      insecureRegistries: oci<string[]>('insecure-registries'),
      mirrors: valueOf.get('mirrors') as Record<string, string[]>,
      ...(authFile === '' ? {} : { authFile }),
      ...(caFile === '' ? {} : { caFile }),
    },
    trust: trustOf(oci),
    verifyImage: oci('verify-image'),
    allowedGadgets: oci('allowed-gadgets'),
    disallowPulling: oci('disallow-pulling'),
    pull: oci('pull'),
    warnings: files.flatMap(({ warnings }) => warnings),
    settings,
  };
}

function effective(
  setting: Setting,
  flags: ConfigFlags,
  env: Readonly<Record<string, string | undefined>>,
  files: Awaited<ReturnType<typeof readConfigFiles>>,
): EffectiveSetting {
  const { key, flag } = setting;
  const value = flag === undefined ? undefined : flags[flag];
  if (value !== undefined) return { setting, value, from: `--${dashed(flag!)}` };
  const variable = environmentName(key);
  const text = env[variable];
  if (text !== undefined) return { setting, value: parseVariable(setting, text, variable), from: variable };
  const file = files.find(({ values }) => values.has(key));
  if (file !== undefined) return { setting, value: file.values.get(key), from: file.path };
  return { setting, value: setting.default, from: 'default' };
}

function dashed(flag: string): string {
  return flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function trustOf(oci: <T>(name: string) => T): TrustPolicyOptions {
  const keys = oci<string[]>('public-keys');
  const trustedRoot = oci<string>('trusted-root');
  const identities = oci<Identity[]>('identities');
  return {
    publicKeys: keys.length === 0 ? [INSPEKTOR_GADGET_PUBLIC_KEY] : keys.map(publicKey),
    ...(trustedRoot === '' ? {} : { trustedRoot }),
    ...(identities.length === 0 ? {} : { identities }),
  };
}

/** A PEM text, or the one in the file of that name. */
function publicKey(text: string): string {
  if (text.includes('-----BEGIN')) return text;
  try {
    return readFileSync(text, 'utf8').slice(0, 64 * 1024);
  } catch (cause) {
    throw new ConfigError(`cannot read the public key ${text}: ${(cause as Error).message}`, { cause });
  }
}
