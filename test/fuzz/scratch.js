// Files for parsers that read them by their path; gone when the process ends.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folder = mkdtempSync(join(tmpdir(), 'ig-fuzz-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

export function scratchFile(name, bytes) {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}
