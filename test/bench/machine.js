// @ts-check
// What a reader must know of the machine to make anything of the numbers.

import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { ROOT, outputOf } from './build.js';

/** To be asked before the benchmark loads the machine itself. */
export function machineFacts() {
  const processors = cpus();
  return {
    kernel: release(),
    cpu: processors[0]?.model ?? 'unknown',
    cpus: processors.length,
    memoryGb: Math.round(totalmem() / 1e9),
    governor: readOr('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor', 'not shown'),
    bpfJit: readOr('/proc/sys/net/core/bpf_jit_enable', 'not shown'),
    node: process.version,
    commit: outputOf('git', ['-C', ROOT, 'describe', '--always', '--dirty']).trim(),
    loadBefore: loadavg().map((load) => Math.round(load * 100) / 100),
  };
}

/** @type {(path: string, otherwise: string) => string} */
function readOr(path, otherwise) {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return otherwise;
  }
}
