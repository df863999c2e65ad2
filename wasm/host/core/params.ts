// Functions of parameters and of the gadget's configuration.

import type { Context, HostFunctions } from './context.js';
import { KINDS } from '../../../runtime/data/kind.js';
import { quoted } from '../errors.js';
import type { GuestBuffer } from './memory.js';

const MAX_KEY_BYTES = 256;
const MAX_VALUE_BYTES = 4096;
const MAX_SETTINGS = 256;
const STRING = KINDS.indexOf('string');
/** The peer's full names of a gadget's parameters; the rest is the key. */
const PREFIX = /^operator\.oci\.(wasm|ebpf)\./;
/** All of the configuration that a module can change. */
const SETTING = /^programs\.([A-Za-z0-9_]{1,128})\.attach_to$/;

export function paramFunctions(context: Context): HostFunctions {
  const { memory, gadget } = context;
  const failed = (sentence: string): 1 => {
    context.complain(sentence);
    return 1;
  };
  return {
    getParamValue: (keyBuffer: GuestBuffer, target: GuestBuffer): number => {
      const key = memory.text(keyBuffer, MAX_KEY_BYTES);
      if (key === undefined) return 1;
      const value = gadget.params.get(key) ?? gadget.params.get(key.replace(PREFIX, ''));
      if (value === undefined)
        return failed(`getParamValue: there is no parameter ${quoted(JSON.stringify(key))}`);
      if (memory.fill(target, Buffer.from(value))) return 0;
      return failed(`getParamValue: the buffer is too small for the value of ${key}`);
    },

    setConfig: (keyBuffer: GuestBuffer, valueBuffer: GuestBuffer, kind: number): number => {
      const key = memory.text(keyBuffer, MAX_KEY_BYTES);
      const value = memory.text(valueBuffer, MAX_VALUE_BYTES);
      if (key === undefined || value === undefined || kind !== STRING) return 1;
      if (context.phase !== 'init') return failed('setConfig: the programs are loaded after gadgetInit');
      if (!SETTING.test(key))
        return failed(
          `setConfig: only programs.NAME.attach_to can be set, not ${quoted(JSON.stringify(key))}`,
        );
      if (gadget.config.size >= MAX_SETTINGS && !gadget.config.has(key))
        return failed('setConfig: too many settings');
      gadget.config.set(key, value);
      return 0;
    },
  };
}
