// What a core module is told of this machine, asked through the functions of the API.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Script } from '../../wasm/host/core/testing.js';
import { coreServices, parseDeclaration } from './core-services.js';

const FORMAT = `name: sys_enter_openat
ID: 709
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:int __syscall_nr;	offset:8;	size:4;	signed:1;
	field:int dfd;	offset:16;	size:8;	signed:0;
	field:const char * filename;	offset:24;	size:8;	signed:0;
	field:umode_t mode;	offset:40;	size:8;	signed:0;

print fmt: "dfd: 0x%08lx", ((unsigned long)(REC->dfd))
`;

describe('system calls', () => {
  it('are known by number and name', async () => {
    const s = new Script();
    const [name, small] = [s.buffer(32), s.buffer(2)];
    const { notes, read } = await s.run(
      {
        init: [
          s.note('getSyscallName', coreServices([]).syscallId('openat')!, name),
          s.note('getSyscallName', 60_000, name),
          s.note('getSyscallName', 0, small),
          s.note('getSyscallID', s.text('execve')),
          s.note('getSyscallID', s.text('brew')),
          s.note('getSyscallID', 0x10_7fffffffn),
        ],
      },
      [],
      coreServices([]),
    );
    const execve = process.arch === 'arm64' ? 221 : 59;
    expect(notes()).toEqual([0, 1, 1, execve, -1, -1]);
    expect(read(name).toString()).toBe('openat'.padEnd(32, '\0'));
  });

  it('are declared as the kernel’s tracepoints say', async () => {
    const s = new Script();
    const [declaration, small] = [s.buffer(252), s.buffer(251)];
    const { notes, read } = await s.run(
      {
        init: [
          s.note('getSyscallDeclaration', s.text('openat'), declaration),
          s.note('getSyscallDeclaration', s.text('openat'), small),
          s.note('getSyscallDeclaration', s.text('../../x'), declaration),
        ],
      },
      [],
      {
        syscallDeclaration: (name) =>
          name === 'openat' ? parseDeclaration(FORMAT) : coreServices([]).syscallDeclaration(name),
      },
    );
    expect(notes()).toEqual([0, 1, 1]);
    const bytes = read(declaration);
    const nameAt = (at: number): string => bytes.toString('latin1', at, bytes.indexOf(0, at));
    expect([nameAt(0), bytes[32]]).toEqual(['openat', 3]);
    const params = [0, 1, 2, 3].map((i) => [nameAt(36 + i * 36), bytes.readUInt32LE(36 + i * 36 + 32)]);
    expect(params).toEqual([
      ['dfd', 0],
      ['filename', 1],
      ['mode', 0],
      ['', 0],
    ]);
  });
});

describe('the kernel', () => {
  it('has the symbols of /proc/kallsyms, whole', async () => {
    const s = new Script();
    const line = readFileSync('/proc/kallsyms', 'latin1').split('\n', 1000).at(-1)!;
    const symbol = line.split(/\s/)[2]!;
    const { notes } = await s.run(
      {
        init: [symbol, symbol.slice(0, -1) + '!', ''].map((name) =>
          s.note('kallsymsSymbolExists', s.text(name)),
        ),
      },
      [],
      coreServices([]),
    );
    expect(notes()).toEqual([1, 0, 0]);
  });

  it('has mount namespaces that the user did not ask for', async () => {
    const s = new Script();
    const { notes } = await s.run(
      { init: [5n, 6n, -1n].map((id) => s.note('shouldDiscardMntnsID', id)) },
      [],
      { discardsMntns: (mntns) => mntns === 5n || mntns === 2n ** 64n - 1n },
    );
    expect(notes()).toEqual([1, 0, 1]);
  });
});
