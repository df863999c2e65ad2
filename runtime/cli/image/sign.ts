import type { SignFlags } from './commands.js';

export function sign(image: string, flags: SignFlags): Promise<void> {
  return Promise.reject(new Error('not written yet'));
}
