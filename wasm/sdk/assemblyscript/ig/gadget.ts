// The gadget as a whole: its parameters, what to do at the start, and how to refuse.

export const params = new Map<string, string>();
const initHandlers: (() => void)[] = [];

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

/** In `onInit`: stops the gadget with this sentence. In `onEvent`: loses this batch, and shows the sentence. */
export function fail(reason: string): void {
  failure = reason;
}

export function runInit(): void {
  for (let i = 0; i < initHandlers.length && failure.length == 0; i++) initHandlers[i]();
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
