/** Temporary directories and small gadget images for the tests of images. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Descriptor } from '../../oci/descriptor.js';
import { ANNOTATION } from '../../oci/descriptor.js';
import { buildGadgetImage } from '../../oci/gadget-image.js';
import type { GadgetImageSpec } from '../../oci/gadget-image.js';
import type { Target } from '../../oci/target.js';

/** A directory that is removed when the present test ends. */
export function temporaryDirectory(): string {
  const path = createTemporaryDirectory();
  onTestFinished(() => removeDirectory(path));
  return path;
}

/** A directory for a whole file of tests; its user removes it. */
export function createTemporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'ig-oci-test-'));
}

export function removeDirectory(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

export const METADATA = Buffer.from('name: trace_sample\ndescription: a sample\n');
export const EBPF_AMD64 = Buffer.from('\x7fELF sample for amd64');
export const EBPF_ARM64 = Buffer.from('\x7fELF sample for arm64');
export const WASM = Buffer.from('\0asm\x01\0\0\0');

export function sampleSpec(ref: string, changes: Partial<GadgetImageSpec> = {}): GadgetImageSpec {
  return {
    ref,
    metadata: METADATA,
    platforms: [
      { architecture: 'amd64', ebpf: EBPF_AMD64, wasm: WASM },
      { architecture: 'arm64', ebpf: EBPF_ARM64, wasm: WASM },
    ],
    annotations: { [ANNOTATION.title]: 'trace_sample', [ANNOTATION.description]: 'a sample' },
    ...changes,
  };
}

/** Builds a gadget image for amd64 and arm64 with metadata, eBPF and Wasm, and names it `ref`. */
export function buildSample(
  target: Target,
  ref: string,
  changes: Partial<GadgetImageSpec> = {},
): Promise<Descriptor> {
  return buildGadgetImage(target, sampleSpec(ref, changes));
}
