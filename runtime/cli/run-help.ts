// The help of `ig run`, without an image and with one.

import { Command, type Option } from 'commander';
import type { FieldDescription } from '../pipeline/messages.js';
import type { OpenedGadget } from '../session.js';
import { paramOption, runOptions } from './run-flags.js';

/** What `ig run -h` prints. */
export function runHelp(): string {
  return `Run a gadget: its events are printed until Ctrl-C.

Usage: ig run IMAGE [flags]

IMAGE is a short name (trace_exec: the local store, then the built-in gadgets, then ghcr.io/inspektor-gadget/gadget),
a full reference (ghcr.io/owner/trace_exec:v1, …@sha256:…), or a path (./layout, ./image.tar).

Flags:
${describe(runOptions())}

A gadget has flags of its own: ig run IMAGE -h

Examples:
  ig run trace_exec --host
  ig run trace_exec -c web,db --paths
  ig run trace_exec --host -o json --filter 'proc.comm~^ba,error!=' --ignore-failed=false
  ig run trace_exec --host --fields +sessionid,-tty --timeout 10
`;
}

/** What `ig run IMAGE -h` prints: the gadget's flags and fields. */
export function gadgetHelp(
  { gadget, image, resolved }: OpenedGadget,
  fields: readonly FieldDescription[],
  name: string,
  command = `ig run ${name}`,
): string {
  const { description, documentationURL } = gadget.metadata;
  const links = documentationURL === '' ? '' : `\nDocumentation: ${documentationURL}`;
  return `${gadget.metadata.name}: ${description}${links}
Image: ${image.digest}, ${resolved.from === 'builtin' ? 'built in' : `from ${resolved.location}`}

Usage: ${command} [flags]

Flags of the gadget:
${describe(gadget.params.map(paramOption))}

Flags of every gadget:
${describe(runOptions())}

Fields (* = shown by default):
${describeFields(fields)}

Examples:
  ${command} --host
  ${command} -c my-container -o json
`;
}

/** Options in commander's own layout. */
function describe(options: readonly Option[]): string {
  const command = new Command().helpOption(false);
  for (const option of options) command.addOption(option);
  const help = command.createHelp();
  help.helpWidth = 110;
  const visible = help.visibleOptions(command);
  const width = Math.max(...visible.map((option) => option.flags.length));
  return visible
    .map((option) => `  ${option.flags.padEnd(width)}  ${help.optionDescription(option)}`)
    .join('\n');
}

function describeFields(fields: readonly FieldDescription[]): string {
  const sources = new Set(fields.map((field) => field.dataSource));
  const name = (field: FieldDescription): string =>
    sources.size > 1 ? `${field.dataSource}: ${field.fullName}` : field.fullName;
  const width = Math.max(...fields.map((field) => name(field).length));
  const kindWidth = Math.max(...fields.map((field) => field.kind.length));
  return fields
    .map((field) =>
      `${field.hidden ? ' ' : '*'} ${name(field).padEnd(width)}  ${field.kind.padEnd(kindWidth)}  ${field.description}`.trimEnd(),
    )
    .map((line) => ` ${line}`)
    .join('\n');
}
