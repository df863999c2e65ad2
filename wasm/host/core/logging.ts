// Functions by which a module says something to the user.

import { quoted } from '../errors.js';
import type { Context, HostFunctions } from './context.js';
import type { GuestBuffer } from './memory.js';
import { LOG_LEVEL } from './services.js';

const MAX_MESSAGE_BYTES = 64 * 1024;

export function loggingFunctions(context: Context): HostFunctions {
  const { memory, gadget } = context;
  const { services } = gadget;
  return {
    gadgetLog: (level: number, message: GuestBuffer): void => {
      const known = level >>> 0 <= LOG_LEVEL.trace ? level : LOG_LEVEL.warn;
      if (known > services.logLevel) return;
      const text = memory.text(message, MAX_MESSAGE_BYTES);
      if (text === undefined) context.complain('gadgetLog: the message is too long or outside the memory');
      else services.log(known, quoted(text));
    },
    gadgetShouldLog: (level: number): number => (level >>> 0 <= services.logLevel ? 1 : 0),
  };
}
