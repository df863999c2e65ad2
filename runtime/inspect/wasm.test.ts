import { describe, expect, it } from 'vitest';
import { InvalidModuleError } from '../../wasm/host/errors.js';
import { inspectWasm } from './wasm.js';

const text = (value: string): number[] => [value.length, ...Buffer.from(value)];
const section = (id: number, ...content: number[]): number[] => [id, content.length, ...content];
const vector = (...items: number[][]): number[] => [items.length, ...items.flat()];
const CORE = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const COMPONENT = [0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0];
const bytes = (...parts: number[][]): Uint8Array => Uint8Array.from(parts.flat());

/** (func (result i64)) for two functions: an import of `ig` and gadgetAPIVersion, which returns `version`. */
function gadgetModule(version: number): Uint8Array {
  return bytes(
    CORE,
    section(1, ...vector([0x60, 0, 1, 0x7e])),
    section(
      2,
      ...vector(
        [...text('ig'), ...text('gadgetLog'), 0, 0],
        [...text('wasi_snapshot_preview1'), ...text('fd_write'), 0, 0],
        [...text('env'), ...text('memory'), 2, 1, 1, 0x80, 2],
      ),
    ),
    section(3, ...vector([0])),
    section(7, ...vector([...text('gadgetAPIVersion'), 0, 2], [...text('memory'), 2, 0])),
    section(10, ...vector([4, 0, 0x42, version, 0x0b])),
  );
}

describe('a core module', () => {
  it('shows the functions of the runtime it calls, its own, and the version of the API', async () => {
    const module = gadgetModule(1);
    await expect(WebAssembly.compile(module)).resolves.toBeDefined();
    expect(inspectWasm(module)).toEqual({
      form: 'core',
      sizeBytes: module.length,
      gadgetAPIVersion: 1,
      upcalls: ['gadgetLog'],
      imports: ['ig.gadgetLog', 'wasi_snapshot_preview1.fd_write', 'env.memory'],
      exports: ['gadgetAPIVersion'],
    });
  });

  it('whose version is computed shows none', () => {
    // 0x7f continues no number, but is -1.
    expect(inspectWasm(gadgetModule(0x7f))).not.toHaveProperty('gadgetAPIVersion');
  });

  it('is refused as damaged wherever it is cut', () => {
    const module = gadgetModule(1);
    for (let size = 9; size < module.length; size++) {
      const cut = module.subarray(0, size);
      // Between two sections, it is whole.
      try {
        inspectWasm(cut);
      } catch (error) {
        expect(error).toBeInstanceOf(InvalidModuleError);
      }
    }
    expect(() => inspectWasm(module.subarray(0, module.length - 1))).toThrow('damaged');
  });

  it('with sections whose counts lie is refused', () => {
    expect(() => inspectWasm(bytes(CORE, section(7, 0xff, 0xff, 0xff, 0xff, 0x0f)))).toThrow('damaged');
    expect(() => inspectWasm(bytes(CORE, section(2, 5)))).toThrow('damaged');
  });
});

describe('a component', () => {
  it('shows the interfaces that it imports and exports, with their versions', () => {
    const component = bytes(
      COMPONENT,
      section(10, ...vector([0, ...text('ig:post-processor/types@0.1.0'), 5, 0])),
      section(
        11,
        ...vector(
          [0, ...text('ig:post-processor/processor@0.1.0'), 5, 1, 1, 5, 0],
          [0, ...text('run'), 1, 0, 0],
        ),
      ),
    );
    expect(inspectWasm(component)).toEqual({
      form: 'component',
      sizeBytes: component.length,
      upcalls: [],
      imports: ['ig:post-processor/types@0.1.0'],
      exports: ['ig:post-processor/processor@0.1.0', 'run'],
    });
  });

  it('with what is not described is refused', () => {
    const component = bytes(COMPONENT, section(10, ...vector([0, ...text('x'), 9])));
    expect(() => inspectWasm(component)).toThrow('damaged');
  });
});
