// Every setting that a configuration file, the environment and flags share: its key, what it takes, its default.

/** What a setting holds; lists and maps of lists are empty unless given. */
export type SettingKind = 'boolean' | 'text' | 'list' | 'identities' | 'map';

export interface Setting {
  /** Dotted key, as in the peer's configuration. */
  readonly key: string;
  /** As commander names the flag that overrides it, if there is one. */
  readonly flag?: string;
  readonly kind: SettingKind;
  readonly default: unknown;
  /** The values there are, if not any. */
  readonly oneOf?: readonly string[];
  /** For `ig config default`: one line. */
  readonly description: string;
  /** For `ig config default`: how a value looks. */
  readonly example?: string;
}

export const SETTINGS: readonly Setting[] = [
  {
    key: 'operator.oci.verify-image',
    flag: 'verifyImage',
    kind: 'boolean',
    default: true,
    description: 'run images from a registry only if somebody trusted has signed them',
  },
  {
    key: 'operator.oci.public-keys',
    flag: 'publicKeys',
    kind: 'list',
    default: [],
    description: "whose signatures count: files or PEM texts; empty = Inspektor Gadget's key",
    example: '[/etc/ig/release.pub]',
  },
  {
    key: 'operator.oci.trusted-root',
    flag: 'trustedRoot',
    kind: 'text',
    default: '',
    description: "file: sigstore's trusted_root.json, for signatures without a key",
    example: '/etc/ig/trusted_root.json',
  },
  {
    key: 'operator.oci.identities',
    kind: 'identities',
    default: [],
    description: 'who counts then: subject (/…/ is a regular expression) and who vouches for it',
    example: '[{subject: me@example.com, issuer: https://accounts.google.com}]',
  },
  {
    key: 'operator.oci.allowed-gadgets',
    flag: 'allowedGadgets',
    kind: 'list',
    default: [],
    description: 'the only gadgets to run: NAME:TAG, NAME@DIGEST or PREFIX*; empty = all',
    example: "['ghcr.io/inspektor-gadget/gadget/*']",
  },
  {
    key: 'operator.oci.disallow-pulling',
    flag: 'disallowPulling',
    kind: 'boolean',
    default: false,
    description: 'run only what is built in or in the local store',
  },
  {
    key: 'operator.oci.pull',
    flag: 'pull',
    kind: 'text',
    default: 'missing',
    oneOf: ['always', 'missing', 'never'],
    description: 'when to ask the registry: always, missing or never',
  },
  {
    key: 'operator.oci.insecure-registries',
    flag: 'insecureRegistries',
    kind: 'list',
    default: [],
    description: 'registries to reach over plain HTTP',
    example: '[localhost:5000]',
  },
  {
    key: 'operator.oci.authfile',
    flag: 'authfile',
    kind: 'text',
    default: '',
    description:
      "registry credentials, as docker keeps them; empty = the usual places (see 'ig login --help')",
    example: '/etc/ig/auth.json',
  },
  {
    key: 'operator.oci.ca-file',
    flag: 'caFile',
    kind: 'text',
    default: '',
    description: 'certificates of the CAs to trust beside the usual ones, as PEM',
    example: '/etc/ig/ca.crt',
  },
  {
    key: 'mirrors',
    kind: 'map',
    default: {},
    description: 'where to look first for what a registry has',
    example: '{ghcr.io: [https://mirror.example/v2]}',
  },
];

/** Variable that overrides `key`: the peer's prefix, dots and dashes as underscores. */
export function environmentName(key: string): string {
  return `INSPEKTOR_GADGET_${key.replace(/[.-]/g, '_').toUpperCase()}`;
}
