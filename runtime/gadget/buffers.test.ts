import { totalmem } from 'node:os';
import { describe, expect, it } from 'vitest';
import { bufferSize } from './buffers.js';

const MAP = { name: 'records', type: 'array', keySize: 4, valueSize: 1000, maxEntries: 2 };

describe('buffers for each CPU', () => {
  it('have the bytes of the declaration and those of the parameter', () => {
    const bounds = { cpus: 4, ringBytes: [1 << 16] };
    expect(bufferSize(MAP, 'max', 500, bounds)).toEqual({ map: 'records', sizeBytes: 1500, count: 8 });
  });

  it('are no larger than an event can be', () => {
    const fitting = (1 << 16) - 16 - 1000;
    const bounds = { cpus: 4, ringBytes: [4096, 1 << 16] };
    expect(bufferSize(MAP, 'max', fitting, bounds).sizeBytes).toBe(fitting + 1000);
    expect(() => bufferSize(MAP, 'max', fitting + 1, bounds)).toThrow(
      `--max takes at most ${fitting} here, not ${fitting + 1}: an event can have 65520 bytes in all`,
    );
    expect(() => bufferSize(MAP, 'max', 1 << 22, { cpus: 1, ringBytes: [1 << 30] })).toThrow('--max');
  });

  it('leave the machine most of its memory', () => {
    const cpus = Math.ceil(totalmem() / 2 ** 20);
    expect(() => bufferSize(MAP, 'max', 2 ** 20, { cpus, ringBytes: [1 << 22] })).toThrow(
      /^--max takes at most \d+ here, not 1048576: all \d+ buffers take memory of the kernel$/,
    );
  });
});
