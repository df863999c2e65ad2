/** Has the kernel measure how long eBPF programs run: `Program.runs` tells. */
import { closeSync } from 'node:fs';
import { native } from './native.js';

/**
 * The kernel measures all programs of the machine until the returned function is called, or this process ends; each run
 * then takes some 20 ns more. Throws SystemError: without CAP_SYS_ADMIN it refuses.
 */
export function measureRuns(): () => void {
  const fd = native().measureRuns();
  return () => closeSync(fd);
}
