import type { GenerateKeyFlags } from './commands.js';

export function generateKey(flags: GenerateKeyFlags): Promise<void> {
  return Promise.reject(new Error('not written yet'));
}
