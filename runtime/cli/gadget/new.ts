// `ig gadget new`: writes the folder, and says what to do with it.

import { writeSync } from 'node:fs';
import { manualOf, titleOf } from '../../build/language.js';
import { scaffold } from '../../scaffold.js';
import type { NewFlags } from './commands.js';

/** Throws ScaffoldError. */
export function newGadget(path: string, { lang, filter = false }: NewFlags): void {
  const files = scaffold(path, filter ? 'filter' : 'gadget', lang);
  const folder = path.startsWith('/') || path.startsWith('.') ? path : `./${path}`;
  const run = filter ? `sudo ig run trace_exec --host --wasm ${folder}` : `sudo ig run ${folder} --host`;
  writeSync(
    1,
    `Wrote ${folder}: ${files.join(', ')}

Next:
  ig gadget test ${folder}
  ${run}

All that a program in ${titleOf(lang)} can call: ${manualOf(lang)}
`,
  );
}
