// The gadget as a whole: its parameters, what to do at the start, between events and at the end, how to refuse.

export const params = new Map<string, string>();
const initHandlers: (() => void)[] = [];
const finishHandlers: (() => void)[] = [];
let tickHandler: (now: u64) => void = () => {};

/** How often `tickHandler` is called, in milliseconds; 0 = never. */
export let tickMs: u32 = 0;

/** Why the module refuses; empty if it does not. */
let failure: string = '';

/** The value of a parameter of the gadget; empty if there is none of that key. */
export function param(key: string): string {
  return params.has(key) ? params.get(key) : '';
}

/** What to do once, when parameters and fields are known and before the first event. */
export function onInit(handler: () => void): void {
  initHandlers.push(handler);
}

/**
 * What to do every `everyMs` milliseconds, also when nothing happens; `now` is in nanoseconds, on the clock of events'
 * timestamps. At the top level or in `onInit`; the last call counts.
 */
export function onTick(everyMs: u32, handler: (now: u64) => void): void {
  tickMs = everyMs;
  tickHandler = handler;
}

/** What to do once, after the last event. */
export function onFinish(handler: () => void): void {
  finishHandlers.push(handler);
}

/** In `onInit`: stops the gadget with this sentence. Later: loses this batch, and shows the sentence. */
export function fail(reason: string): void {
  failure = reason;
}

export function runInit(): void {
  for (let i = 0; i < initHandlers.length && failure.length == 0; i++) initHandlers[i]();
}

export function runTick(now: u64): void {
  tickHandler(now);
}

export function runFinish(): void {
  for (let i = 0; i < finishHandlers.length && failure.length == 0; i++) finishHandlers[i]();
}

@inline
export function failed(): bool {
  return failure.length != 0;
}

/** Takes the failure, so that the next batch starts without it. */
export function takeFailure(): string {
  const reason = failure;
  failure = '';
  return reason;
}
