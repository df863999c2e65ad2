/** Compiles the C programs of the live tests with the newest clang there is, 16 or later. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const INCLUDE = fileURLToPath(new URL('../../bpf/include', import.meta.url));
const OLDEST_CLANG = 16;
const NEWEST_CLANG = 30;

export function findClang(): string {
  const names = Array.from(
    { length: NEWEST_CLANG - OLDEST_CLANG + 1 },
    (_, i) => `clang-${NEWEST_CLANG - i}`,
  );
  for (const name of [...names, 'clang']) {
    try {
      const version = execFileSync(name, ['-dumpversion'], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      if (Number.parseInt(version, 10) >= OLDEST_CLANG) return name;
    } catch {
      continue;
    }
  }
  throw new Error(`No clang of version ${OLDEST_CLANG} or later was found: install clang-16.`);
}

/** The eBPF object of `test/live/bpf/NAME.bpf.c`. */
export function compileBpf(name: string): Uint8Array {
  return compileFile(fileURLToPath(new URL(`bpf/${name}.bpf.c`, import.meta.url)));
}

/** The eBPF object of a C file anywhere, with the headers of gadgets. */
export function compileFile(path: string): Uint8Array {
  const directory = mkdtempSync(join(tmpdir(), 'ig-compile-'));
  try {
    const output = join(directory, 'out.o');
    const machine = `/usr/include/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`;
    const flags = ['-O2', '-g', '-target', 'bpf', '-I', machine, '-I', INCLUDE];
    execFileSync(findClang(), [...flags, '-c', path, '-o', output]);
    return readFileSync(output);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
