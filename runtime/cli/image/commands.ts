// `ig image …`: names its commands and their flags; what a command does is loaded only when it runs.

import { Command, Option } from 'commander';
import { configOption, publicKeysOption, registryOptions } from '../image-flags.js';

/** Flags of every command that talks to a registry. */
export interface RegistryFlags {
  readonly config?: string;
  readonly authfile?: string;
  readonly insecureRegistries?: readonly string[];
  readonly caFile?: string;
}

/** Flags of every `ig image` command. */
export interface CommonFlags {
  readonly verbose?: boolean;
}

export interface BuildFlags extends CommonFlags {
  readonly tag?: string;
  readonly file?: string;
  readonly output?: string;
  readonly updateMetadata?: boolean;
  readonly validateMetadata: boolean;
  readonly local?: boolean;
  readonly json?: boolean;
}

export interface TransferFlags extends CommonFlags, RegistryFlags {
  readonly output: string;
}

export interface ListFlags extends CommonFlags {
  readonly trunc: boolean;
  readonly output: string;
}

export interface InspectFlags extends CommonFlags, RegistryFlags {
  readonly output: string;
  readonly extraInfo?: string;
  readonly jsonpath?: string;
  readonly showDatasources?: boolean;
}

export interface VerifyFlags extends CommonFlags, RegistryFlags {
  readonly publicKeys?: readonly string[];
  readonly trustedRoot?: string;
  readonly certificateIdentity?: string;
  readonly certificateOidcIssuer?: string;
  readonly output: string;
}

export interface SignFlags extends CommonFlags, RegistryFlags {
  readonly key: string;
  readonly form: string;
}

export interface GenerateKeyFlags extends CommonFlags {
  readonly output: string;
  readonly password: boolean;
}

export interface OutputFlags extends CommonFlags {
  readonly output: string;
}

export interface PruneFlags extends OutputFlags {
  readonly dryRun?: boolean;
}

function remoteOptions(): Option[] {
  return [...registryOptions(), configOption()];
}

function outputOption(modes: string, fallback: string): Option {
  return new Option('-o, --output <mode>', modes).default(fallback);
}

function command(
  nameAndArguments: string,
  description: string,
  options: readonly Option[],
  examples: readonly string[],
): Command {
  const [name, ...args] = nameAndArguments.split(' ');
  const made = new Command(name).description(description);
  for (const argument of args) made.argument(argument);
  for (const option of options) made.addOption(option);
  made.option('-v, --verbose', 'add causes to errors');
  return made.addHelpText('after', `\nExamples:\n${examples.map((line) => `  ${line}`).join('\n')}`);
}

/** Adds the commands of `ig image`. */
export function declareImage(image: Command): void {
  for (const part of [buildCommand(), ...movingCommands(), ...storeCommands(), ...trustCommands()]) {
    image.addCommand(part);
  }
}

function buildCommand(): Command {
  return command(
    'build <path>',
    'build the image of a gadget or filter from a folder: eBPF for amd64 and arm64, Wasm, gadget.yaml',
    [
      new Option('-t, --tag <name>', "the image's name; the folder's own name unless given"),
      new Option('-f, --file <path>', 'build file; build.yaml in the folder unless given'),
      new Option('-o, --output <dir>', 'also keep the compiled parts in this directory'),
      new Option('--update-metadata', 'write what the object tells into gadget.yaml, or draft one'),
      new Option('--no-validate-metadata', 'do not check gadget.yaml against the object'),
      new Option('-l, --local', 'build without a container, as ig always does').hideHelp(),
      new Option('--json', 'print the result as JSON'),
    ],
    [
      'ig image build . -t ghcr.io/me/trace_files:v1',
      'ig image build ./trace_files --update-metadata      # draft gadget.yaml from the object',
      'SOURCE_DATE_EPOCH=0 ig image build . -t trace_files # the same sources, the same digest',
    ],
  ).action(async (path: string, flags: BuildFlags) => {
    const { build } = await import('./build.js');
    await build(path, flags);
  });
}

function movingCommands(): Command[] {
  const transfer = [outputOption('columns or json', 'columns'), ...remoteOptions()];
  return [
    command(
      'pull <image>',
      'fetch an image from its registry into the local store, with its signatures',
      transfer,
      [
        'ig image pull trace_open                # ghcr.io/inspektor-gadget/gadget/trace_open:latest',
        'ig image pull localhost:5000/mine:v1 --insecure-registries localhost:5000',
      ],
    ).action(async (image: string, flags: TransferFlags) => {
      const { pull } = await import('./pull.js');
      await pull(image, flags);
    }),
    command(
      'push <image>',
      'send an image of the local store, with its signatures, to its registry',
      transfer,
      ['ig image push ghcr.io/me/trace_files:v1'],
    ).action(async (image: string, flags: TransferFlags) => {
      const { push } = await import('./push.js');
      await push(image, flags);
    }),
    command(
      'export <images...>',
      'write images of the local store into a tar file, or to stdout (-)',
      [],
      ['ig image export trace_files:v1 trace_files.tar', 'ig image export a b both.tar'],
    )
      .usage('[options] <images...> <file>')
      .action(async (words: string[]) => {
        const { exportImages } = await import('./export.js');
        await exportImages(words);
      }),
    command(
      'import <file>',
      'take all images of a tar file (ours, skopeo oci-archive, docker save) into the local store',
      [outputOption('columns or json', 'columns')],
      ['ig image import trace_files.tar'],
    ).action(async (file: string, flags: OutputFlags) => {
      const { importImages } = await import('./import.js');
      await importImages(file, flags);
    }),
  ];
}

function storeCommands(): Command[] {
  return [
    command(
      'list',
      'list the images of the local store',
      [outputOption('columns, json or jsonpretty', 'columns'), new Option('--no-trunc', 'whole digests')],
      ['ig image list', 'ig image list -o json | jq -r ".[].digest"'],
    )
      .alias('ls')
      .action(async (flags: ListFlags) => {
        const { list } = await import('./list.js');
        await list(flags);
      }),
    command(
      'tag <image> <name>',
      'give an image of the local store another name',
      [],
      ['ig image tag trace_files:v1 ghcr.io/me/trace_files:latest'],
    ).action(async (image: string, name: string) => {
      const { tag } = await import('./tag.js');
      await tag(image, name);
    }),
    command(
      'remove <images...>',
      'take names, and what only they refer to, out of the local store',
      [],
      ['ig image remove trace_files:v1'],
    )
      .alias('rm')
      .action(async (images: string[], flags: CommonFlags) => {
        const { remove } = await import('./remove.js');
        await remove(images, flags);
      }),
    command(
      'inspect <image>',
      'show what an image holds: manifest, metadata, eBPF programs and maps, Wasm module',
      [
        outputOption('jsonpretty, json or yaml', 'jsonpretty'),
        new Option(
          '--extra-info <key>',
          'one part: ebpf.sections, ebpf.programs, wasm.upcalls, oci.manifest, …',
        ),
        new Option('--jsonpath <path>', 'one value, such as .oci.manifest.layers[0].digest'),
        new Option('--show-datasources', 'data sources and fields only'),
        ...remoteOptions(),
      ],
      [
        'ig image inspect trace_exec',
        'ig image inspect trace_exec --extra-info ebpf.programs -o yaml',
        'ig image inspect trace_exec --extra-info ebpf.flowchart   # Mermaid',
      ],
    ).action(async (image: string, flags: InspectFlags) => {
      const { inspect } = await import('./inspect.js');
      await inspect(image, flags);
    }),
    command(
      'prune',
      'free what no image of the local store refers to',
      [
        outputOption('columns or json', 'columns'),
        new Option('--dry-run', 'say what would be freed, and keep it'),
      ],
      ['ig image prune', 'ig image prune --dry-run'],
    ).action(async (flags: PruneFlags) => {
      const { prune } = await import('./prune.js');
      await prune(flags);
    }),
  ];
}

function trustCommands(): Command[] {
  return [
    command(
      'sign <image>',
      'sign an image with a local key, in its registry or in the local store, as cosign verifies it',
      [
        new Option('--key <file>', 'private key, of `ig image generate-key` or cosign').makeOptionMandatory(),
        new Option('--form <form>', 'how the signature is kept: tag (legacy), referrer or bundle').default(
          'tag',
        ),
        ...remoteOptions(),
      ],
      [
        'ig image sign ghcr.io/me/trace_files:v1 --key ig.key',
        'IG_KEY_PASSWORD=… ig image sign trace_files:v1 --key ig.key   # then: ig image push',
      ],
    ).action(async (image: string, flags: SignFlags) => {
      const { sign } = await import('./sign.js');
      await sign(image, flags);
    }),
    command(
      'verify <image>',
      'check that an image is signed by a trusted key or identity',
      [
        publicKeysOption(),
        new Option('--trusted-root <file>', "sigstore's trusted_root.json, for keyless signatures"),
        new Option('--certificate-identity <subject>', 'who must have signed; /…/ is a regular expression'),
        new Option('--certificate-oidc-issuer <url>', 'who must have vouched for that identity'),
        outputOption('columns or json', 'columns'),
        ...remoteOptions(),
      ],
      ['ig image verify trace_open', 'ig image verify ghcr.io/me/trace_files:v1 --public-keys ig.pub'],
    ).action(async (image: string, flags: VerifyFlags) => {
      const { verify } = await import('./verify.js');
      await verify(image, flags);
    }),
    command(
      'generate-key',
      'make a key pair to sign with: NAME.key and NAME.pub',
      [
        new Option('-o, --output <name>', 'path of the files without suffix').default('ig'),
        new Option('--no-password', 'leave the private key unprotected, as some CI systems want'),
      ],
      ['ig image generate-key', 'IG_KEY_PASSWORD=… ig image generate-key -o ~/.ig/release'],
    ).action(async (flags: GenerateKeyFlags) => {
      const { generateKey } = await import('./generate-key.js');
      await generateKey(flags);
    }),
  ];
}
