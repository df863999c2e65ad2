// @ts-check
// Prints the benchmark's result: tables of medians, what became of the targets, the change since another result.

/** @typedef {import('./summary.js').Section} Section */
/**
 * @typedef {object} Result what is written as JSON
 * @property {1} version of this form
 * @property {string} date
 * @property {ReturnType<typeof import('./machine.js').machineFacts>} machine
 * @property {{ runs: number, seconds: number }} settings
 * @property {string[]} notes what was not measured, or must be known to read the numbers
 * @property {Record<string, string>} tracers what each one is
 * @property {Section} load
 * @property {Section} capacity
 * @property {Section} examples
 * @property {Section} chain
 * @property {Section} module
 * @property {Section} containers
 * @property {Section} fields
 * @property {Section} terms
 * @property {Section} known
 * @property {Section} gadgets
 * @property {Section} start
 */

const NONE = '-';

/** @type {(digits: number, unit?: string) => (value: number) => string} */
const fixed =
  (digits, unit = '') =>
  (value) =>
    `${value.toFixed(digits)}${unit}`;
/** @type {(value: number) => string} */
const whole = (value) => Math.round(value).toLocaleString('en-US');
/** @type {(value: number) => string} */
const percent = (value) => `${(value * 100).toFixed(2)} %`;

/** @typedef {{ title: string, metric: string, format: (value: number) => string }} TableColumn */

/** @type {readonly TableColumn[]} */
const LOAD_COLUMNS = [
  { title: 'exec/s', metric: 'execsPerSecond', format: whole },
  { title: 'untraced', metric: 'untracedPerSecond', format: whole },
  { title: 'kept', metric: 'keptOfUntraced', format: fixed(2) },
  { title: '× execsnoop', metric: 'keptToExecsnoop', format: fixed(2) },
  { title: 'delivered', metric: 'deliveredShare', format: percent },
  { title: 'missing', metric: 'missing', format: whole },
  { title: 'said lost', metric: 'lostReported', format: whole },
  { title: 'CPU µs/event', metric: 'cpuUsPerEvent', format: fixed(1) },
  { title: '× floor', metric: 'cpuToFloor', format: fixed(1) },
  { title: '× execsnoop', metric: 'cpuToExecsnoop', format: fixed(2) },
  { title: 'RSS MB', metric: 'rssSteadyMb', format: fixed(0) },
  { title: 'peak MB', metric: 'rssPeakMb', format: fixed(0) },
];

/** @type {readonly TableColumn[]} */
const CAPACITY_COLUMNS = [
  { title: 'events/s', metric: 'eventsPerSecond', format: whole },
  { title: 'events/CPU s', metric: 'eventsPerCpuSecond', format: whole },
  { title: 'lost', metric: 'lost', format: whole },
  { title: 'unaccounted', metric: 'missing', format: whole },
  {
    title: 'feeder-bound',
    metric: 'feederBound',
    format: (value) => (value > 0 ? 'yes: ig can more' : 'no'),
  },
];

/** @type {(metric: string, title: string) => TableColumn[]} */
const cost = (metric, title) => [
  { title: `${title}: events/s`, metric: `${metric}PerSecond`, format: whole },
  { title: 'µs', metric: `${metric}Us`, format: fixed(3) },
  { title: 'more', metric: `${metric}More`, format: fixed(3) },
];

/** @type {readonly TableColumn[]} */
const EXAMPLE_COLUMNS = [
  ...cost('drop', 'drop'),
  ...cost('add', 'add a field'),
  ...cost('count', 'aggregate'),
];

/** @type {readonly TableColumn[]} */
const CHAIN_COLUMNS = cost('chain', 'chain');

/** @type {(metric: string, title: string) => TableColumn[]} */
const growth = (metric, title) => [
  ...cost(metric, title),
  { title: '×', metric: `${metric}Ratio`, format: fixed(2) },
];

/** @type {readonly TableColumn[]} */
const OUTPUT_COLUMNS = ['json', 'columns'].flatMap((output) => growth(output, output));

/** @type {readonly TableColumn[]} */
const KNOWN_COLUMNS = [...growth('host', 'events of the host'), ...growth('own', 'events of the containers')];

/** @type {readonly TableColumn[]} */
const GADGET_COLUMNS = [
  { title: 'exec/s', metric: 'execsPerSecond', format: whole },
  { title: 'kept', metric: 'keptOfUntraced', format: fixed(2) },
  { title: 'events/CPU s', metric: 'eventsPerCpuSecond', format: whole },
  { title: 'CPU µs/event', metric: 'cpuUsPerEvent', format: fixed(1) },
  { title: '× one', metric: 'cpuToFirst', format: fixed(2) },
  { title: 'missing', metric: 'missing', format: whole },
  { title: 'lost', metric: 'lost', format: whole },
];

/** @type {readonly TableColumn[]} */
const CONTAINER_COLUMNS = [
  { title: 'events/s', metric: 'eventsPerSecond', format: whole },
  { title: 'CPU µs/event', metric: 'cpuUsPerEvent', format: fixed(1) },
  { title: '× few', metric: 'cpuToFirst', format: fixed(2) },
  { title: 'missing', metric: 'missing', format: whole },
  { title: 'lost', metric: 'lost', format: whole },
];

/** @type {readonly TableColumn[]} */
const START_COLUMNS = [
  { title: 'ms', metric: 'ms', format: fixed(0) },
  { title: '× node', metric: 'toNode', format: fixed(1) },
];

/** @typedef {{ what: string, value: (result: Result) => number | undefined, limit: number, atLeast: boolean, format: (value: number) => string }} Target */

/** @type {(section: 'load' | 'capacity' | 'module' | 'containers' | 'start', name: string, metric: string) => Target['value']} */
const median = (section, name, metric) => (result) => result[section][name]?.[metric]?.median;

export const IG_START = 'ig run trace_exec --host, to attached';

/** @type {readonly Target[]} */
const TARGETS = [
  {
    what: 'events delivered, JSON',
    value: median('load', 'ig json', 'deliveredShare'),
    limit: 1,
    atLeast: true,
    format: percent,
  },
  {
    what: 'events delivered, columns',
    value: median('load', 'ig columns', 'deliveredShare'),
    limit: 1,
    atLeast: true,
    format: percent,
  },
  {
    what: 'workload’s speed kept',
    value: median('load', 'ig json', 'keptOfUntraced'),
    limit: 0.9,
    atLeast: true,
    format: fixed(2),
  },
  {
    what: 'workload’s speed ÷ under execsnoop',
    value: median('load', 'ig json', 'keptToExecsnoop'),
    limit: 1.5,
    atLeast: true,
    format: fixed(2),
  },
  {
    what: 'CPU per event, JSON',
    value: median('load', 'ig json', 'cpuUsPerEvent'),
    limit: 5,
    atLeast: false,
    format: fixed(1, ' µs'),
  },
  {
    what: 'CPU per event ÷ C floor',
    value: median('load', 'ig json', 'cpuToFloor'),
    limit: 3,
    atLeast: false,
    format: fixed(1),
  },
  {
    what: 'CPU per event ÷ execsnoop',
    value: median('load', 'ig json', 'cpuToExecsnoop'),
    limit: 0.25,
    atLeast: false,
    format: fixed(2),
  },
  {
    what: 'the same, its fields only',
    value: median('load', 'ig json, few', 'cpuToExecsnoop'),
    limit: 0.25,
    atLeast: false,
    format: fixed(2),
  },
  {
    what: 'CPU per event ÷ without Wasm',
    value: median('load', 'ig json', 'cpuToNoWasm'),
    limit: 1.1,
    atLeast: false,
    format: fixed(2),
  },
  {
    what: 'the same with a full ring',
    value: median('module', 'trace_exec', 'jsonRatio'),
    limit: 1.1,
    atLeast: false,
    format: fixed(2),
  },
  {
    what: 'RSS',
    value: median('load', 'ig json', 'rssSteadyMb'),
    limit: 120,
    atLeast: false,
    format: fixed(0, ' MB'),
  },
  {
    what: 'capacity of a core: Wasm, filter, none',
    value: median('capacity', 'Wasm, filter, -o none', 'eventsPerCpuSecond'),
    limit: 1e6,
    atLeast: true,
    format: whole,
  },
  {
    what: 'capacity of a core: Wasm, JSON',
    value: median('capacity', 'Wasm, -o json', 'eventsPerCpuSecond'),
    limit: 4e5,
    atLeast: true,
    format: whole,
  },
  {
    what: 'start to attached',
    value: median('start', IG_START, 'ms'),
    limit: 300,
    atLeast: false,
    format: fixed(0, ' ms'),
  },
  {
    what: 'ig --help',
    value: median('start', 'ig --help', 'ms'),
    limit: 100,
    atLeast: false,
    format: fixed(0, ' ms'),
  },
];

/** @type {(result: Result) => string} */
export function report(result) {
  const { machine, settings } = result;
  return [
    `Linux ${machine.kernel}, ${machine.cpus} × ${machine.cpu}, ${machine.memoryGb} GB, node ${machine.node}, commit ${machine.commit}, load before ${machine.loadBefore.join(' ')}`,
    `Medians of ${settings.runs} interleaved runs of ${settings.seconds} s; ratios are taken within a run.`,
    ...Object.entries(result.tracers).map(([name, what]) => `  ${name}: ${what}`),
    '',
    table('Exec load', result.load, LOAD_COLUMNS),
    table('Pipeline, synthetic events of 256 bytes', result.capacity, CAPACITY_COLUMNS),
    table('Filters, made-up execs, -o none', result.examples, EXAMPLE_COLUMNS),
    table('Chains of filters, -o none', result.chain, CHAIN_COLUMNS),
    table('The module of trace_exec', result.module, OUTPUT_COLUMNS),
    table('Events of containers', result.containers, CONTAINER_COLUMNS),
    table('Fields written', result.fields, OUTPUT_COLUMNS),
    table('Terms of -F, -o none', result.terms, growth('terms', 'terms')),
    table('Containers known, -o json', result.known, KNOWN_COLUMNS),
    table('Gadgets at once, exec load', result.gadgets, GADGET_COLUMNS),
    table('Start', result.start, START_COLUMNS),
    targets(result),
    ...result.notes.map((note) => `Note: ${note}.`),
    '',
  ].join('\n');
}

/** @type {(title: string, section: Section, columns: readonly TableColumn[]) => string} */
function table(title, section, columns) {
  if (Object.keys(section).length === 0) return '';
  const rows = Object.entries(section).map(([name, metrics]) => [
    name,
    ...columns.map(({ metric, format }) => {
      const series = metrics[metric];
      return series === undefined ? NONE : format(series.median);
    }),
  ]);
  return align([[title, ...columns.map((column) => column.title)], ...rows]);
}

/** @type {(result: Result) => string} */
function targets(result) {
  const rows = TARGETS.flatMap(({ what, value, limit, atLeast, format }) => {
    const measured = value(result);
    if (measured === undefined) return [];
    const met = atLeast ? measured >= limit : measured <= limit;
    return [[what, `${atLeast ? '≥' : '≤'} ${format(limit)}`, format(measured), met ? 'met' : 'missed']];
  });
  return rows.length === 0 ? '' : align([['Target', 'wanted', 'measured', ''], ...rows]);
}

/**
 * Every median of `now` beside that of `before`.
 * @type {(before: Result, now: Result) => string}
 */
export function comparison(before, now) {
  const rows = [['Compared', before.machine.commit, now.machine.commit, 'new ÷ old']];
  for (const section of /** @type {const} */ ([
    'load',
    'capacity',
    'examples',
    'chain',
    'module',
    'containers',
    'fields',
    'terms',
    'known',
    'gadgets',
    'start',
  ])) {
    for (const [name, metrics] of Object.entries(now[section])) {
      for (const [metric, { median: value }] of Object.entries(metrics)) {
        const old = before[section]?.[name]?.[metric]?.median;
        if (old === undefined) continue;
        rows.push([
          `${name}: ${metric}`,
          short(old),
          short(value),
          old === 0 ? NONE : (value / old).toFixed(2),
        ]);
      }
    }
  }
  return align(rows);
}

/** @type {(value: number) => string} */
function short(value) {
  return Math.abs(value) >= 100 ? whole(value) : value.toPrecision(3);
}

/** Rows under a header; the first column to the left. @type {(rows: readonly (readonly string[])[]) => string} */
function align(rows) {
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0))) ?? [];
  const lines = rows.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '),
  );
  const rule = '─'.repeat(widths.reduce((total, width) => total + width + 2, -2));
  return [lines[0], rule, ...lines.slice(1), ''].join('\n');
}
