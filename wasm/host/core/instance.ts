// One instance of a core module: its functions, with every failure turned into a GuestError.

import { GuestError, InvalidModuleError, quoted } from '../errors.js';
import { guarded } from '../guest.js';
import { Context, type Gadget, type HostFunctions } from './context.js';
import { dataSourceFunctions } from './data-sources.js';
import { fieldFunctions } from './fields.js';
import { loggingFunctions } from './logging.js';
import { machineFunctions } from './machine.js';
import { mapFunctions } from './maps.js';
import { packetFunctions } from './packets.js';
import { paramFunctions } from './params.js';
import { HOST_MODULES, type PreparedCore } from './prepare.js';
import { notImplemented, wasiFunctions } from './wasi.js';

const API_VERSION = 1n;

type Export = (...args: (number | bigint)[]) => unknown;

export class CoreInstance {
  readonly context: Context;
  private readonly exports: Record<string, unknown>;
  private readonly dataCallback: Export | undefined;

  /** Starts the module and has it declare its fields. Throws GuestError or InvalidModuleError. */
  constructor({ module }: PreparedCore, gadget: Gadget) {
    this.context = new Context(gadget);
    try {
      const imports = importsOf(module, this.context);
      const { exports } = guarded('start', () => new WebAssembly.Instance(module, imports));
      this.exports = exports;
      this.context.memory.attach(exports['memory'] as WebAssembly.Memory);
      this.dataCallback = this.function('dataSourceCallback');
      this.context.canCallBack = this.dataCallback !== undefined;
      const initialize = this.function('_initialize');
      if (initialize !== undefined) guarded('start', () => initialize());
      this.checkVersion();
      this.run('gadgetInit');
      gadget.declarations.close();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Calls no more of its functions: gives back what it holds of the machine. */
  close(): void {
    this.context.close();
  }

  /** Calls one of the optional functions that say what happens to the gadget. Throws GuestError when it fails. */
  run(name: string): void {
    const call = this.function(name);
    if (call === undefined) return;
    const status = guarded(name, () => call());
    if (status !== 0)
      throw new GuestError(`the gadget's Wasm module failed in ${name}: it returned ${String(status)}`);
  }

  /** Calls a subscription. Throws what the call throws. */
  callBack(callback: bigint, source: number, data: number): void {
    this.dataCallback!(callback, source, data);
  }

  private function(name: string): Export | undefined {
    const exported = this.exports[name];
    return typeof exported === 'function' ? (exported as Export) : undefined;
  }

  private checkVersion(): void {
    const version: unknown = guarded('gadgetAPIVersion', () => this.function('gadgetAPIVersion')!());
    if (version === API_VERSION) return;
    throw new GuestError(
      `the gadget's Wasm module is of version ${quoted(String(version))} of the gadget API, but this version of ig runs version ${API_VERSION}`,
    );
  }
}

function importsOf(module: WebAssembly.Module, context: Context): Record<string, HostFunctions> {
  const ig: HostFunctions = {
    ...dataSourceFunctions(context),
    ...fieldFunctions(context),
    ...packetFunctions(context),
    ...paramFunctions(context),
    ...mapFunctions(context),
    ...machineFunctions(context),
    ...loggingFunctions(context),
  };
  const wasi = wasiFunctions(context);
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    if (from === HOST_MODULES.wasi) wasi[name] ??= notImplemented;
    else if (!Object.hasOwn(ig, name))
      throw new InvalidModuleError(
        `the gadget's Wasm module imports the function ${quoted(name)}, which this version of ig does not have`,
      );
  }
  return { [HOST_MODULES.ig]: ig, [HOST_MODULES.wasi]: wasi };
}
