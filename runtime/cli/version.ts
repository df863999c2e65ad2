// The version of this package.

import { readFileSync } from 'node:fs';

export function version(): string {
  for (const candidate of ['../../package.json', '../../../package.json']) {
    try {
      const text = readFileSync(new URL(candidate, import.meta.url), 'utf8');
      return (JSON.parse(text) as { version: string }).version;
    } catch {
      // Running from the sources: package.json is one folder nearer than in dist.
    }
  }
  return 'unknown';
}
