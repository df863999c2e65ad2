// Failures of building a gadget; each message is one sentence for its author, a list of mistakes excepted.

import type { Mistake } from '../gadget/metadata.js';

/** The gadget's folder, or what is needed to build from it, is not right. */
export class BuildError extends Error {
  override name = 'BuildError';
}

/** gadget.yaml does not fit: a sentence that says how often, then a line `FILE:LINE: …` for each. */
export class MetadataError extends BuildError {
  override name = 'MetadataError';

  constructor(path: string, mistakes: readonly Mistake[]) {
    const count = mistakes.length === 1 ? 'one mistake' : `${mistakes.length} mistakes`;
    const lines = mistakes.map(({ line, text }) => `\n${path}:${line}: ${text}`);
    super(`${count} in ${path}; --no-validate-metadata builds it as it is:${lines.join('')}`);
  }
}
