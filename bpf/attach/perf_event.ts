/** Sampling (`perf_event`): the program runs so many times a second on each CPU that is not idle. */
import { readFileSync } from 'node:fs';
import { InvalidTargetError } from '../errors.js';
import type { NativeLink } from '../native.js';
import type { AttachKind } from './kind.js';

/** enum perf_type_id and perf_sw_ids, include/uapi/linux/perf_event.h. */
const PERF_TYPE_SOFTWARE = 1;
const PERF_COUNT_SW_CPU_CLOCK = 0;

/** Not a round number, so as not to keep step with what is sampled. */
const DEFAULT_FREQUENCY_HZ = 49;

export const perfEvent: AttachKind = {
  capabilities: ['CAP_PERFMON'],
  attach({ native, program, options }) {
    const frequencyHz = options.frequencyHz ?? DEFAULT_FREQUENCY_HZ;
    if (!(Number.isInteger(frequencyHz) && frequencyHz >= 1))
      throw new InvalidTargetError(`Program ${program} cannot sample ${frequencyHz} times a second.`, {
        program,
      });
    const links: NativeLink[] = [];
    try {
      for (const cpu of onlineCpus())
        links.push(
          native.attachPerfEvent(program, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, frequencyHz, cpu),
        );
    } catch (error) {
      for (const link of links) link.close();
      throw error;
    }
    return links;
  },
};

/** Parses a list such as `0-3,6`. */
function onlineCpus(): number[] {
  const list = readFileSync('/sys/devices/system/cpu/online', 'latin1').trim();
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}
