// The help of `ig run`, without an image and with one.

import { Command, type Option } from 'commander';
import type { FieldDescription } from '../pipeline/messages.js';
import type { OpenedGadget } from '../session.js';
import { type OptionGroup, paramOption, runOptionGroups } from './run-flags.js';

/** What `ig run -h` prints. */
export function runHelp(): string {
  return `Run a gadget: its events are printed until Ctrl-C.

Usage: ig run IMAGE [flags]

IMAGE is a short name (trace_exec: the local store, then the built-in gadgets, then ghcr.io/inspektor-gadget/gadget),
a full reference (ghcr.io/owner/trace_exec:v1, …@sha256:…), or a path (./layout, ./image.tar). A path to a folder of
sources (./trace_files) builds and runs it.

${describeGroups(runOptionGroups())}

A gadget has flags of its own: ig run IMAGE -h

Examples:
  ig run trace_exec --host
  ig run trace_exec -c web,db --paths
  ig run trace_exec --host -o json --filter 'proc.comm~^ba,error!=' --ignore-failed=false
  ig run trace_exec --k8s-namespace shop --k8s-selector 'role=demo,tier!=db'
  ig run trace_exec --host --fields +sessionid,-tty --timeout 10
  ig run trace_exec --host --record execs.ig     # then: ig replay execs.ig -o json
  ig run trace_exec --host --wasm ./drop.wasm --wasm-param prefix=sh
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

${describeGroups([{ title: 'The gadget', options: gadget.params.map(paramOption) }, ...runOptionGroups()])}

Fields (* = shown by default):
${describeFields(fields)}

Examples:
  ${command} --host
  ${command} -c my-container -o json
`;
}

/** Flags under their headings, the descriptions of all in one column. */
export function describeGroups(groups: readonly OptionGroup[]): string {
  const shown = groups
    .map(({ title, options }) => ({ title, lines: describe(options) }))
    .filter(({ lines }) => lines.length > 0);
  const width = Math.max(...shown.flatMap(({ lines }) => lines.map(({ flags }) => flags.length)));
  return shown
    .map(({ title, lines }) =>
      [`${title}:`, ...lines.map(({ flags, text }) => `  ${flags.padEnd(width)}  ${text}`)].join('\n'),
    )
    .join('\n\n');
}

/** Options as commander describes them. */
function describe(options: readonly Option[]): { flags: string; text: string }[] {
  const command = new Command().helpOption(false);
  for (const option of options) command.addOption(option);
  const help = command.createHelp();
  return help
    .visibleOptions(command)
    .map((option) => ({ flags: option.flags, text: help.optionDescription(option) }));
}

export function describeFields(fields: readonly FieldDescription[]): string {
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
