import type { VerifyFlags } from './commands.js';

export function verify(image: string, flags: VerifyFlags): Promise<void> {
  return Promise.reject(new Error('not written yet'));
}
