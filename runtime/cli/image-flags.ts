// The flags that say which images may be run, and from where they come: of `ig run` and of `ig image`.

import { InvalidArgumentError, Option } from 'commander';

/** What of the configuration a command line overrides, as commander names it. */
export interface ImageFlags {
  readonly config?: string;
  readonly pull?: string;
  readonly verifyImage?: boolean;
  readonly publicKeys?: readonly string[];
  readonly allowedGadgets?: readonly string[];
  readonly disallowPulling?: boolean;
  readonly authfile?: string;
  readonly insecureRegistries?: readonly string[];
  readonly caFile?: string;
}

/** Flags of `ig run` that take true or false, and mean true without either. */
export const BOOLEAN_FLAGS: readonly string[] = [
  '--verify-image',
  '--disallow-pulling',
  '--validate-metadata',
  '--oci-store-user',
];

/** A comma list, which may be given several times. */
export function commaList(value: string, before: readonly string[] = []): string[] {
  return [...before, ...value.split(',').filter((item) => item !== '')];
}

/** `true` or `false`. Throws InvalidArgumentError. */
export function boolean(text: string): boolean {
  if (text !== 'true' && text !== 'false') throw new InvalidArgumentError('It takes true or false.');
  return text === 'true';
}

/** Where a registry is reached, and as whom. */
export function registryOptions(): Option[] {
  return [
    new Option('--authfile <path>', 'registry credentials, as docker keeps them in config.json'),
    new Option(
      '--insecure-registries <hosts>',
      'registries to reach over plain HTTP: a comma list',
    ).argParser(commaList),
    new Option('--ca-file <path>', 'certificates of the CAs to trust beside the usual ones, as PEM'),
  ];
}

/** Whose signatures count. */
export function publicKeysOption(): Option {
  return new Option(
    '--public-keys <files>',
    "keys whose signatures count instead of Inspektor Gadget's: a comma list of PEM files",
  ).argParser(commaList);
}

export function configOption(): Option {
  return new Option('--config <path>', 'configuration file to read instead of the usual ones');
}

/** Which image `ig run` takes, and whether it may be run. */
export function imageOptions(): Option[] {
  return [
    new Option(
      '--pull <when>',
      'ask the registry: always, missing (if the image is not here) or never',
    ).choices(['always', 'missing', 'never']),
    new Option(
      '--verify-image <bool>',
      'run images from a registry only if trusted keys signed them (default: true)',
    ).argParser(boolean),
    publicKeysOption(),
    new Option(
      '--allowed-gadgets <names>',
      'the only gadgets that may run: a comma list of NAME:TAG, NAME@DIGEST or PREFIX*',
    ).argParser(commaList),
    new Option('--disallow-pulling <bool>', 'run only what is built in or in the local store').argParser(
      boolean,
    ),
    new Option(
      '--oci-store-user <bool>',
      "under sudo: take images of the calling user's own store, and pull none",
    ).argParser(boolean),
    new Option('--validate-metadata <bool>', 'check gadget.yaml before it is used (default: true)').argParser(
      boolean,
    ),
    ...registryOptions(),
    configOption(),
  ];
}
