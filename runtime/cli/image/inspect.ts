// `ig image inspect IMAGE`: prints what an image holds, all of it or one part.

import { InspectError } from '../../inspect/errors.js';
import { type ImageInfo, inspectImage, partOf } from '../../inspect/inspect.js';
import { valueAt } from '../../inspect/json-path.js';
import { withImage } from '../../inspect/open.js';
import { loadConfig } from '../../config/config.js';
import { builtinLayout } from '../../open-image.js';
import { UsageError, say } from '../fail.js';
import type { InspectFlags } from './commands.js';
import { printOut } from './print.js';
import { openStore } from './store.js';

const MODES = ['jsonpretty', 'json', 'yaml'];

/** Prints it in the mode of `--output`, and texts as they are. Throws OciError, ConfigError or UsageError. */
export async function inspect(image: string, flags: InspectFlags): Promise<void> {
  checkFlags(flags);
  const { registry, warnings } = await loadConfig(flags);
  const options = { store: openStore(), builtin: builtinLayout(), registry };
  const info = await withImage(image, options, inspectImage);
  for (const warning of [...warnings, ...info.warnings]) say(`Warning: ${warning}`);
  const value = choose(info, flags);
  await printOut(visible(typeof value === 'string' ? endLine(value) : await encode(value, flags.output)));
}

function checkFlags({ output, extraInfo, showDatasources }: InspectFlags): void {
  if (!MODES.includes(output)) {
    throw new UsageError(`\`ig image inspect\` prints ${MODES.join(', ')}, not ${output}`);
  }
  if (showDatasources === true && extraInfo !== undefined) {
    throw new UsageError('--show-datasources and --extra-info each choose a part: give one of them');
  }
}

function choose(info: ImageInfo, { extraInfo, jsonpath, showDatasources }: InspectFlags): unknown {
  try {
    let value: unknown = info.document;
    if (showDatasources === true) value = info.document.ebpf?.datasources ?? [];
    else if (extraInfo !== undefined) {
      const part = partOf(info, extraInfo);
      value = 'text' in part ? part.text : part.value;
    }
    return jsonpath === undefined ? value : valueAt(value, jsonpath);
  } catch (error) {
    if (error instanceof InspectError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

async function encode(value: unknown, mode: string): Promise<string> {
  if (mode === 'yaml') {
    const { stringify } = await import('yaml');
    return stringify(value, { aliasDuplicateObjects: false });
  }
  return `${JSON.stringify(value, null, mode === 'json' ? undefined : 2)}\n`;
}

function endLine(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`;
}

/** What a terminal would act on, or what turns the direction of writing, as JSON and YAML write it in texts. */
function visible(text: string): string {
  return text.replace(
    /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
