// When a command that goes on until it is stopped has to end.

export type End = 'stopped' | 'closed' | Error;

/** Ends at a signal, or when told. A second signal ends the process at once. */
export function waitForEnd(): { reason: Promise<End>; now: (reason: End) => void } {
  let resolve: (reason: End) => void = () => undefined;
  const reason = new Promise<End>((settle) => (resolve = settle));
  let signals = 0;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (++signals > 1) process.exit(130);
      resolve('stopped');
    });
  }
  return { reason, now: resolve };
}
