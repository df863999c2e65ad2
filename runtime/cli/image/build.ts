// `ig image build`: builds the gadget of a folder and puts its image into the local store.

import { buildGadgetImage } from '../../../oci/gadget-image.js';
import type { Reference } from '../../../oci/reference.js';
import type { Progress } from '../../../oci/target.js';
import type { BuiltGadget } from '../../build/gadget.js';
import type { BuildListener } from '../../build/job.js';
import { showBuild } from '../show-build.js';
import { version } from '../version.js';
import type { BuildFlags } from './commands.js';
import { printOut } from './print.js';
import { newName, openStore } from './store.js';

/** Throws UsageError, BuildError, MetadataError, GadgetError, BpfError, InvalidReferenceError, StoreError. */
export async function build(path: string, flags: BuildFlags): Promise<void> {
  const { gadgetName } = await import('../../build/gadget.js');
  // A name that cannot be is said before anything is compiled.
  const reference = newName(flags.tag ?? gadgetName(path));
  const result = await showBuild(async (listener) => {
    const gadget = await compile(path, flags, listener);
    const digest = await store(gadget, reference, listener.progress);
    return resultText(gadget, reference, digest, flags.json ?? false);
  });
  await printOut(result);
}

async function compile(path: string, flags: BuildFlags, listener: BuildListener): Promise<BuiltGadget> {
  const { buildGadget, keepParts } = await import('../../build/gadget.js');
  const options = {
    validate: flags.validateMetadata,
    updateMetadata: flags.updateMetadata ?? false,
    env: process.env,
    builderVersion: `v${version()}`,
    ...(flags.file === undefined ? {} : { buildFile: flags.file }),
  };
  const gadget = await buildGadget(path, options, listener);
  if (flags.output !== undefined) keepParts(gadget, flags.output);
  return gadget;
}

async function store(gadget: BuiltGadget, reference: Reference, progress: Progress): Promise<string> {
  const layout = openStore();
  progress.begin('package', `write the image into ${layout.root}`, 0);
  const { digest } = await buildGadgetImage(
    layout,
    { ...gadget, ref: String(reference) },
    (descriptor, name) => layout.tag(descriptor, name, { origin: 'built' }),
  );
  progress.end('package');
  return digest;
}

function resultText({ platforms }: BuiltGadget, reference: Reference, digest: string, json: boolean): string {
  const result = {
    reference: String(reference),
    digest,
    platforms: platforms.map(({ architecture }) => `linux/${architecture}`),
  };
  return json ? `${JSON.stringify(result)}\n` : `Successfully built ${result.reference}@${digest}\n`;
}
