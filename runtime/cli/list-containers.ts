// `ig list-containers`: the containers of this machine, once, or with -w as they come and go.

import { isatty } from 'node:tty';
import { missingCapabilities } from '../../bpf/errors.js';
import type { Container } from '../containers/container.js';
import { type ContainerDescription, describeContainer } from '../containers/describe.js';
import { type LifeEvent, Lives } from '../containers/lives.js';
import { ContainerManager } from '../containers/manager.js';
import { canSeeNamespaces, containersOutOfReach } from '../containers/out-of-reach.js';
import { Selector } from '../containers/selector.js';
import { didYouMean } from '../data/nearest.js';
import { ContainerColumns, chooseColumns } from './container-columns.js';
import { enginesOf, selectionOf } from './container-flags.js';
import { type End, waitForEnd } from './end.js';
import { UsageError, fail, say } from './fail.js';
import type { ListContainersFlags } from './list-containers-command.js';
import { Printer } from './printer.js';

const MODES = ['columns', 'json', 'jsonpretty', 'yaml'] as const;
type Mode = (typeof MODES)[number];

interface OutputChoice {
  readonly mode: Mode;
  /** Names of columns; undefined for those shown by default. */
  readonly columns?: readonly string[];
}

/** Prints as the flags say; returns when all is printed, or the watch is over. */
export async function listContainers(flags: ListContainersFlags): Promise<void> {
  const output = readOutput(flags.output, flags.watch === true);
  // The host is no container: whether it is asked for makes no difference.
  const selector = new Selector(selectionOf({ ...flags, host: false }));
  await (flags.watch === true ? watch(flags, selector, output) : list(flags, selector, output));
}

function readOutput(text: string, watch: boolean): OutputChoice {
  if (text.startsWith('columns=')) {
    return { mode: 'columns', columns: chooseColumns(text.slice('columns='.length), watch) };
  }
  const mode = MODES.find((known) => known === text);
  if (mode !== undefined) return { mode };
  const hint = didYouMean(text, MODES) || `; the modes are ${MODES.join(', ')}`;
  throw new UsageError(`unknown output mode ${text}${hint}`);
}

async function list(flags: ListContainersFlags, selector: Selector, output: OutputChoice): Promise<void> {
  const options = { selector, engines: enginesOf(flags), track: false, patient: true };
  const manager = new ContainerManager(options);
  try {
    await manager.start();
    const seen = manager.table
      .rows()
      .filter((row) => row.selected && row.container.removedAtMs === undefined);
    const hidden = await outOfReach(flags, selector, manager);
    const containers = [...seen.map((row) => row.container), ...hidden].sort(inOrder);
    const descriptions = containers.map((container) => describeContainer(container));
    for (const sentence of manager.warnings) say(`Warning: ${sentence}`);
    if (output.mode === 'columns' && descriptions.length === 0) {
      say(selector.asksForContainers ? 'No container matches.' : 'No container was found.');
    }
    await printAll(await listText(descriptions, output, manager.onKubernetes));
  } finally {
    manager.close();
  }
}

/** Nobody reading any more is no failure. */
async function printAll(text: string): Promise<void> {
  let failure: unknown;
  const printer = new Printer((reason) => (failure = reason));
  printer.print(text);
  await printer.done();
  if (failure instanceof Error) throw failure;
}

/** What other users' containers are to who is not root. */
async function outOfReach(
  flags: ListContainersFlags,
  selector: Selector,
  { table }: ContainerManager,
): Promise<Container[]> {
  if (canSeeNamespaces()) return [];
  const containers = await containersOutOfReach(enginesOf(flags));
  return containers.filter(
    (container) => table.byKey(container.key) === undefined && selector.matches(container),
  );
}

/** By pod, then by name. */
function inOrder(a: Container, b: Container): number {
  const keys = [a, b].map(({ pod, name, key }) => [
    pod?.namespace ?? '',
    pod?.podName ?? '',
    pod?.containerName ?? '',
    name,
    key,
  ]);
  const at = keys[0]!.findIndex((part, i) => part !== keys[1]![i]);
  return at < 0 ? 0 : keys[0]![at]! < keys[1]![at]! ? -1 : 1;
}

async function listText(
  containers: readonly ContainerDescription[],
  { mode, columns: chosen }: OutputChoice,
  onKubernetes: boolean,
): Promise<string> {
  if (mode === 'columns') {
    const options = { chosen, watch: false, onKubernetes, widthColumns: terminalWidth() };
    return new ContainerColumns(options).table(containers);
  }
  return (await formatter(mode))(containers);
}

async function watch(flags: ListContainersFlags, selector: Selector, output: OutputChoice): Promise<void> {
  if (!canSeeNamespaces()) {
    throw new Error(
      'watching containers needs root, as nobody else sees the processes of others; run it with sudo',
    );
  }
  const end = waitForEnd();
  const missing = missingCapabilities(['CAP_BPF', 'CAP_PERFMON']);
  const options = { selector, engines: enginesOf(flags), atSyscalls: false, track: missing.length === 0 };
  const manager = new ContainerManager(options);
  try {
    await Promise.race([manager.start(), end.reason]);
    for (const sentence of [...manager.warnings, ...withoutTracker(missing)]) say(`Warning: ${sentence}`);
    const format = await lineFormat(output, manager.onKubernetes);
    const printer = new Printer(end.now);
    printer.print(format.header);
    const lives = new Lives(manager.table, (event) => printer.print(format.line(event)));
    const reason = await endOf(end, flags.timeout);
    lives.close();
    await printer.end();
    if (reason instanceof Error) fail(reason, flags.verbose === true);
  } finally {
    manager.close();
  }
}

function withoutTracker(missing: readonly string[]): string[] {
  if (missing.length === 0) return [];
  const lacks = missing.join(' and ');
  return [
    `Containers that live for a moment only may be missed, as seeing each from its first program on needs ${lacks}, which this process lacks; run it as root.`,
  ];
}

async function endOf(
  end: { reason: Promise<End>; now: (reason: End) => void },
  timeoutS: number,
): Promise<End> {
  const timer = timeoutS > 0 ? setTimeout(() => end.now('stopped'), timeoutS * 1000) : undefined;
  const reason = await end.reason;
  clearTimeout(timer);
  return reason;
}

async function lineFormat(
  { mode, columns: chosen }: OutputChoice,
  onKubernetes: boolean,
): Promise<{ header: string; line: (event: LifeEvent) => string }> {
  if (mode !== 'columns') {
    const format = await formatter(mode);
    const separator = mode === 'yaml' ? '---\n' : '';
    return {
      header: '',
      line: ({ event, timestamp, container }) => `${separator}${format({ event, timestamp, container })}`,
    };
  }
  const options = { chosen, watch: true, onKubernetes, widthColumns: terminalWidth() };
  const table = new ContainerColumns(options);
  const line = ({ container, ...when }: LifeEvent): string => table.line({ ...when, ...container });
  return { header: table.header(), line };
}

async function formatter(mode: Exclude<Mode, 'columns'>): Promise<(value: unknown) => string> {
  if (mode === 'json') return (value) => `${JSON.stringify(value)}\n`;
  if (mode === 'jsonpretty') return (value) => `${JSON.stringify(value, null, 2)}\n`;
  const { stringify } = await import('yaml');
  return (value) => stringify(value);
}

function terminalWidth(): number | undefined {
  return isatty(1) ? process.stdout.columns || 80 : undefined;
}
