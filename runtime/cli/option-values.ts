// How commander reads values of flags.

import { InvalidArgumentError } from 'commander';

/** A flag that may be repeated. */
export function list(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

export function number(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= low && value <= high)) {
      throw new InvalidArgumentError(`It takes a number from ${low} to ${high}.`);
    }
    return value;
  };
}

export function wholeNumber(low: number, high: number): (text: string) => number {
  const read = number(low, high);
  return (text) => {
    const value = read(text);
    if (!Number.isInteger(value)) throw new InvalidArgumentError('It takes a whole number.');
    return value;
  };
}
