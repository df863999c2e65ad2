// @ts-check
// From single measurements to medians and ratios. A ratio is taken within one run, then its median over the runs.

/** @typedef {{ median: number, values: number[] }} Series */
/** @typedef {Record<string, Record<string, Series>>} Section for each subject its metrics by name */
/** @typedef {import('./load.js').LoadResult} LoadResult */
/** @typedef {Record<string, LoadResult | undefined>} LoadRun by tracer; undefined where it failed */

/** @type {(values: readonly (number | undefined)[]) => Series | undefined} */
export function series(values) {
  const present = values.filter((value) => value !== undefined && Number.isFinite(value));
  if (present.length === 0) return undefined;
  const sorted = [...present].sort((a, b) => (a ?? 0) - (b ?? 0));
  const middle = sorted.length >> 1;
  const [low, high] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]];
  return { median: ((low ?? 0) + (high ?? 0)) / 2, values: /** @type {number[]} */ (present) };
}

/** @type {Record<string, (run: LoadRun, own: LoadResult) => number | undefined>} */
const LOAD_METRICS = {
  execsPerSecond: (_, own) => own.execsPerSecond,
  untracedPerSecond: (_, own) => own.untracedPerSecond,
  keptOfUntraced: (_, own) => kept(own),
  keptToExecsnoop: (run, own) => ratio(kept(own), kept(run['execsnoop'])),
  deliveredShare: (_, own) => own.delivered / own.executed,
  missing: (_, own) => own.executed - own.delivered,
  lostReported: (_, own) => own.lostReported,
  cpuUsPerEvent: (_, own) => own.cpuUsPerEvent,
  cpuToFloor: (run, own) => ratio(own.cpuUsPerEvent, run['C floor']?.cpuUsPerEvent),
  cpuToExecsnoop: (run, own) => ratio(own.cpuUsPerEvent, run['execsnoop']?.cpuUsPerEvent),
  cpuToNoWasm: (run, own) => ratio(own.cpuUsPerEvent, run['ig json, no Wasm']?.cpuUsPerEvent),
  rssSteadyMb: (_, own) => own.memory.steadyMb,
  rssPeakMb: (_, own) => own.memory.peakMb,
};

/** @type {(own: LoadResult | undefined) => number | undefined} */
function kept(own) {
  return own && own.execsPerSecond / own.untracedPerSecond;
}

/** @type {(a: number | undefined, b: number | undefined) => number | undefined} */
function ratio(a, b) {
  return a === undefined || b === undefined ? undefined : a / b;
}

/** @type {(runs: readonly LoadRun[], names: readonly string[]) => Section} */
export function summarizeLoad(runs, names) {
  return sectionOf(names, Object.keys(LOAD_METRICS), (name, metric) =>
    runs.map((run) => {
      const own = run[name];
      return own === undefined ? undefined : LOAD_METRICS[metric]?.(run, own);
    }),
  );
}

/**
 * The section of plain numbers: `runs` has for each subject an object of metrics.
 * @type {(runs: readonly Record<string, Record<string, number> | undefined>[], names: readonly string[], metrics: readonly string[]) => Section}
 */
export function summarize(runs, names, metrics) {
  return sectionOf(names, metrics, (name, metric) => runs.map((run) => run[name]?.[metric]));
}

/**
 * What the µs per event are measured of, in one row of a section.
 * @template {string} Name
 * @typedef {object} Cost
 * @property {Name} section
 * @property {string} name
 * @property {string} metric under which the result stands in its row
 * @property {string} base name of the row that it is compared with, of the same metric
 */

/**
 * `runs` has for each run the µs per event of each subject. A row of a section has for each metric M of its subjects
 * `MUs`, `MPerSecond`, and, taken against the base of the same run, `MMore` (µs) and `MRatio`.
 * @template {string} Name
 * @param {readonly (readonly (number | undefined)[])[]} runs
 * @param {readonly Cost<Name>[]} subjects
 * @returns {Record<Name, Section>}
 */
export function summarizeCosts(runs, subjects) {
  const sections = /** @type {Record<Name, Section>} */ ({});
  subjects.forEach(({ section, name, metric, base }, i) => {
    const baseAt = subjects.findIndex(
      (other) => other.section === section && other.name === base && other.metric === metric,
    );
    const values = {
      Us: runs.map((run) => run[i]),
      PerSecond: runs.map((run) => ratio(1e6, run[i])),
      More: runs.map((run) => difference(run[i], run[baseAt])),
      Ratio: runs.map((run) => ratio(run[i], run[baseAt])),
    };
    const row = ((sections[section] ??= {})[name] ??= {});
    for (const [suffix, numbers] of Object.entries(values)) {
      const found = series(numbers);
      if (found !== undefined) row[metric + suffix] = found;
    }
  });
  return sections;
}

/** @type {(a: number | undefined, b: number | undefined) => number | undefined} */
function difference(a, b) {
  return a === undefined || b === undefined ? undefined : a - b;
}

/** @type {(names: readonly string[], metrics: readonly string[], valuesOf: (name: string, metric: string) => (number | undefined)[]) => Section} */
function sectionOf(names, metrics, valuesOf) {
  /** @type {Section} */
  const section = {};
  for (const name of names) {
    /** @type {Record<string, Series>} */
    const own = {};
    for (const metric of metrics) {
      const found = series(valuesOf(name, metric));
      if (found !== undefined) own[metric] = found;
    }
    section[name] = own;
  }
  return section;
}
