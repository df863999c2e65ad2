// Names of signals, the same on x86 and arm64 (include/uapi/asm-generic/signal.h).

/** By number; 0 is none. */
export const SIGNAL_NAMES: readonly string[] = [
  '',
  ...`HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN
  TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS`
    .split(/\s+/)
    .map((name) => `SIG${name}`),
];
