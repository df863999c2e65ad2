// `ig image build`: builds the gadget of a folder and puts its image into the local store.

import { parseReference } from '../../../oci/reference.js';
import { buildGadgetImage } from '../../../oci/gadget-image.js';
import type { Progress } from '../../../oci/target.js';
import type { BuildListener } from '../../build/job.js';
import { say } from '../fail.js';
import { version } from '../version.js';
import type { BuildFlags } from './commands.js';
import { openStore } from './store.js';

/** Throws BuildError, MetadataError, GadgetError, BpfError, InvalidReferenceError, StoreError. */
export async function build(path: string, flags: BuildFlags): Promise<void> {
  const { buildGadget, gadgetName, keepParts } = await import('../../build/gadget.js');
  // A name that cannot be is said before anything is compiled.
  const reference = parseReference(flags.tag ?? gadgetName(path));
  const listener = listenerOnStderr();
  const gadget = await buildGadget(
    path,
    {
      validate: flags.validateMetadata,
      updateMetadata: flags.updateMetadata ?? false,
      env: process.env,
      builderVersion: `v${version()}`,
      ...(flags.file === undefined ? {} : { buildFile: flags.file }),
    },
    listener,
  );
  if (flags.output !== undefined) keepParts(gadget, flags.output);
  const store = openStore();
  const ref = String(reference);
  listener.progress.begin('package', `write the image into ${store.root}`, 0);
  const { digest } = await buildGadgetImage(store, { ...gadget, ref }, (descriptor, name) =>
    store.tag(descriptor, name, { origin: 'built' }),
  );
  listener.progress.end('package');
  const platforms = gadget.platforms.map(({ architecture }) => `linux/${architecture}`);
  process.stdout.write(
    flags.json === true
      ? `${JSON.stringify({ reference: ref, digest, platforms })}\n`
      : `Successfully built ${ref}@${digest}\n`,
  );
}

function listenerOnStderr(): BuildListener {
  return {
    progress: plainProgress(),
    output: (text) => void process.stderr.write(text),
    note: say,
    color: process.stderr.isTTY && process.env['NO_COLOR'] === undefined,
  };
}

/** A line per step. */
function plainProgress(): Progress {
  return {
    begin: (_id, title) => say(`${title[0]!.toUpperCase()}${title.slice(1)}`),
    advance: () => undefined,
    end: () => undefined,
  };
}
