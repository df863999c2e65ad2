// The help of `ig replay`, without a recording and with one.

import type { FieldDescription } from '../pipeline/messages.js';
import type { RecordingHeader } from '../recording/format.js';
import { replayOptionGroups } from './run-flags.js';
import { describeFields, describeGroups } from './run-help.js';

/** What `ig replay -h` prints. */
export function replayHelp(): string {
  return `Show a run again that \`ig run --record FILE\` has recorded: no root, no kernel, no container engine.

Usage: ig replay FILE [flags]

${describeGroups(replayOptionGroups())}

What a recording can show: ig replay FILE -h

Examples:
  sudo ig run trace_exec --host --record execs.ig
  ig replay execs.ig
  ig replay execs.ig -F 'proc.comm~^ba,error!=' -o yaml
  ig replay execs.ig -c web,db --fields containerName,comm,args
  ig replay execs.ig --wasm ./my-filter --wasm-param prefix=sh
`;
}

/** What `ig replay FILE -h` prints: the flags, and the fields of what was recorded. */
export function recordingHelp(
  path: string,
  { gadget, description, image, ig }: RecordingHeader,
  fields: readonly FieldDescription[],
): string {
  return `A recording of ${gadget}: ${description}
Image: ${image}, recorded by ig v${ig}

Usage: ig replay ${path} [flags]

${describeGroups(replayOptionGroups())}

Fields (* = shown by default):
${describeFields(fields)}

Examples:
  ig replay ${path} -o json
  ig replay ${path} -c my-container${exampleFilter(fields)}
`;
}

/** A filter on a field that is there. */
function exampleFilter(fields: readonly FieldDescription[]): string {
  const text = fields.find(({ fullName, kind }) => fullName.endsWith('comm') && kind.endsWith('string'));
  const any = text ?? fields.find(({ hidden }) => !hidden);
  return any === undefined ? '' : ` -F '${any.fullName}!='`;
}
