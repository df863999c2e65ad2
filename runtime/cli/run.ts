// `ig run IMAGE`: reads the flags, runs the gadget until it is stopped, and says what was lost.

import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import type { Worker } from 'node:worker_threads';
import { missingCapabilities } from '../../bpf/errors.js';
import { DEFAULT_GUEST_LIMITS, type FilterModule } from '../guest.js';
import type { ViewColumn } from '../pipeline/messages.js';
import { warmWorker } from '../pipeline/pipeline.js';
import type { Account, OpenOptions, OpenedGadget, Session, SessionOptions } from '../session.js';
import { isSourceFolder, withFolderHint } from '../source-folder.js';
import { accountLine, heldBackLine, passedOverLine, unhashedLine, unnoticedLine } from './account.js';
import { enginesOf, selectionOf } from './container-flags.js';
import { type End, waitForEnd } from './end.js';
import { UsageError, fail, say } from './fail.js';
import { filtersOf, openOptions } from './open.js';
import { type RunFlags, readFlags, readImage, runOptions } from './run-flags.js';
import { shownAs, terminalWidth } from './shown-as.js';
import type { StatsReporter } from './stats.js';
import { deferStderrWhile } from './stderr.js';
import type { SummaryMode } from './summary.js';
import { version } from './version.js';
import { limitsOf } from './wasm-flags.js';

/** A fixed look on a gadget, such as that of the classic `ig trace exec`. */
export interface View {
  readonly command: string;
  readonly image: string;
  /** Chooses the columns; may ask for some of its own by `-o columns=a,b`. */
  readonly columns: (
    values: ReadonlyMap<string, string>,
    choice: string | undefined,
    onKubernetes: boolean,
  ) => readonly ViewColumn[];
}

/** Runs `ig run` with the words behind it. Returns when the gadget has stopped. */
export async function run(words: readonly string[]): Promise<void> {
  const { image, flags } = readImage(words, runOptions());
  if (image === undefined) {
    if (!flags.help)
      throw new UsageError('which gadget? Try `ig run trace_exec`; `ig list-gadgets` names what there is');
    const { runHelp } = await import('./run-help.js');
    writeSync(1, runHelp());
    return;
  }
  const worker = flags.help ? undefined : makeReady();
  const opened = await open(image, flags).catch((error: unknown) => {
    throw withOrderHint(error, words, image);
  });
  const reading = readFlags(words, runOptions(), opened.gadget.params);
  if (reading.flags.help) {
    await printHelp(opened, reading, image);
    return;
  }
  const extra = reading.operands.filter((word) => word !== image);
  if (extra.length > 0) throw new UsageError(`one gadget at a time; what is ${extra.join(' ')}?`);
  await runGadget(opened, reading.flags, sessionOptions(reading.flags, reading.values), worker);
}

/** A gadget's own flag in front of the image hides what is its value and what the image. */
function withOrderHint(error: unknown, words: readonly string[], image: string): unknown {
  const before = words[words.indexOf(image) - 1];
  const flag = before?.split('=', 1)[0];
  const known = runOptions().some(({ short, long }) => flag === short || flag === long);
  if (!(error instanceof Error) || before === undefined || !before.startsWith('-') || known) return error;
  error.message += `; flags of the gadget, such as ${before}, go behind the image`;
  return error;
}

/** Runs a classic view of a gadget with the words behind its command. */
export async function runView(view: View, words: readonly string[]): Promise<void> {
  const { flags: first } = readImage(words, runOptions());
  const worker = first.help ? undefined : makeReady();
  const opened = await open(view.image, first);
  const { operands, flags, values } = readFlags(words, runOptions(), opened.gadget.params);
  if (flags.help) {
    await printHelp(opened, { flags, values }, view.image, view.command);
    return;
  }
  if (operands.length > 0)
    throw new UsageError(`\`${view.command}\` takes flags only; what is ${operands.join(' ')}?`);
  const [mode, choice] = splitOutput(flags.output);
  const options = sessionOptions({ ...flags, output: mode }, values);
  const complete = opened.gadget.completeValues(values);
  // A column that nobody knows is told before anything is started.
  view.columns(complete, choice, false);
  const columns = (onKubernetes: boolean): readonly ViewColumn[] =>
    view.columns(complete, choice, onKubernetes);
  await runGadget(opened, flags, { ...options, view: columns }, worker);
}

/** `columns=comm,ret` names columns; a mode alone does not. */
function splitOutput(output: string): [string, string | undefined] {
  if (!output.startsWith('columns=')) return [output, undefined];
  const choice = output.slice('columns='.length);
  if (choice === '') throw new UsageError('-o columns= names no column; give some, like columns=comm,ret');
  return ['columns', choice];
}

interface Opened extends OpenedGadget {
  /** As the user gave it. */
  readonly name: string;
  readonly filters: readonly FilterModule[];
}

/** Finds the gadget and the filters as flags and configuration say. */
async function open(image: string, flags: RunFlags): Promise<Opened> {
  // The session's code loads beside the configuration.
  const [options] = await Promise.all([openOptions(flags), import('../session.js')]);
  const opened = isSourceFolder(image) ? await buildAndOpen(image, options) : await openImage(image, options);
  return { ...opened, name: image, filters: await filtersOf(flags, () => Promise.resolve(options)) };
}

async function openImage(image: string, options: OpenOptions): Promise<OpenedGadget> {
  const { openGadget } = await import('../session.js');
  return openGadget(image, options).catch((error: unknown) => {
    throw withFolderHint(error, image);
  });
}

async function buildAndOpen(path: string, options: OpenOptions): Promise<OpenedGadget> {
  const [{ openFolder }, { showBuild }] = await Promise.all([
    import('../open-folder.js'),
    import('./show-build.js'),
  ]);
  const complete = { ...options, env: process.env, builderVersion: `v${version()}` };
  return showBuild((listener) => openFolder(path, complete, listener));
}

function sessionOptions(flags: RunFlags, given: ReadonlyMap<string, string>): SessionOptions {
  return {
    values: given,
    selection: selectionOf(flags),
    engines: enginesOf(flags),
    verbose: flags.verbose,
    guestLimits: limitsOf(flags, DEFAULT_GUEST_LIMITS),
    ...shownAs(flags),
  };
}

/** The pipeline's worker, begun before all else, as it takes longest: half of it loads beside our own modules. */
function makeReady(): Worker {
  requireCapabilities();
  return warmWorker();
}

async function printHelp(
  opened: Opened,
  { flags, values }: { readonly flags: RunFlags; readonly values: ReadonlyMap<string, string> },
  image: string,
  command?: string,
): Promise<void> {
  const { describeFields } = await import('../session.js');
  const { gadgetHelp } = await import('./run-help.js');
  const fields = await describeFields(opened.gadget, {
    values,
    wasmFilters: opened.filters,
    guestLimits: limitsOf(flags, DEFAULT_GUEST_LIMITS),
  });
  writeSync(1, gadgetHelp(opened, fields, image, command));
}

function requireCapabilities(): void {
  const missing = missingCapabilities(['CAP_BPF', 'CAP_PERFMON']);
  if (missing.length === 0) return;
  const them = missing.length > 1 ? 'them' : 'it';
  const how = process.getuid?.() === 0 ? `give ${them} to this process` : 'run it as root, with sudo';
  throw new Error(
    `tracing needs the ${missing.length > 1 ? 'capabilities' : 'capability'} ${missing.join(' and ')}, which this process lacks; ${how}`,
  );
}

async function runGadget(
  opened: Opened,
  flags: RunFlags,
  options: SessionOptions,
  worker?: Worker,
): Promise<void> {
  const { Session } = await import('../session.js');
  const { record: path } = flags;
  const record = path === undefined ? {} : { record: { path, image: opened.image.digest, ig: version() } };
  const summary =
    flags.summary === true ? (await import('./summary.js')).summaryMode(flags.output) : undefined;
  const reporter = await statsReporter(flags);
  const follow = flags.watch === true ? await followerOf(opened, flags) : undefined;
  if (flags.verbose) sayImage(opened);
  const end = waitForEnd();
  const starting = Session.start(
    opened.gadget,
    {
      ...{ ...options, ...record, wasmFilters: opened.filters },
      ...{ stats: reporter !== undefined, swaps: follow !== undefined },
    },
    {
      warn: (sentence) => say(`Warning: ${sentence}`),
      outputClosed: () => end.now('closed'),
      failed: (error) => end.now(error),
      log: say,
    },
    worker,
  );
  // A module that hangs while it starts must not keep the user: the kernel detaches what dies with this process.
  if ((await Promise.race([starting, end.reason])) === 'stopped') process.exit(0);
  const session = await starting;
  deferStderrWhile(() => session.isMidLine);
  reporter?.begin(() => session.stats()!);
  if (isatty(1)) process.on('SIGWINCH', () => session.resize(terminalWidth()));
  if (flags.timeout > 0) setTimeout(() => end.now('stopped'), flags.timeout * 1000).unref();
  if (flags.verbose) say('Tracing.');
  const unfollow = follow?.(session);
  const reason = await end.reason;
  unfollow?.();
  reporter?.stop();
  const account = await session.stop();
  if (summary !== undefined && reason !== 'closed')
    await endWith(summary, opened, account, session.isMidLine);
  if (account.stats !== undefined) reporter?.end(account.stats);
  sayAccount(account, flags, reason);
  if (reason instanceof Error) fail(reason, flags.verbose);
}

function sayAccount(account: Account, { verbose, record }: RunFlags, reason: End): void {
  const lines = [
    heldBackLine(account.heldBack),
    passedOverLine(account.passedOver),
    unnoticedLine(account.unnoticed),
    accountLine(account, verbose || reason instanceof Error, reason === 'closed'),
    unhashedLine(account.unhashed),
  ];
  for (const line of lines) if (line !== undefined) say(line);
  if (account.unrecorded === undefined) return;
  say(`Warning: ${account.unrecorded} events are missing at the end of the recording ${record ?? ''}`);
  process.exitCode = 1;
}

/** Undefined when nobody asks how ig itself does. */
async function statsReporter(flags: RunFlags): Promise<StatsReporter | undefined> {
  const { stats, statsInterval, statsOutput } = flags;
  if (stats !== true && statsInterval === undefined && statsOutput === undefined) return undefined;
  const { StatsReporter } = await import('./stats.js');
  return new StatsReporter(statsInterval, statsOutput);
}

/** Has the output end with what became of the events. */
async function endWith(
  mode: SummaryMode,
  { gadget, image }: Opened,
  account: Account,
  midLine: boolean,
): Promise<void> {
  const { summaryOf, writeSummary } = await import('./summary.js');
  const summary = summaryOf(account, { gadget: gadget.name, image: image.digest });
  // A reader that has just taken nothing for a while is not waited for again.
  const patient = account.counts.lostOutput === 0;
  if (await writeSummary(mode, summary, { midLine, patient })) return;
  say('Warning: the output ends without its summary, which could not be written');
}

/** What has changed sources of Wasm modules go on in a run. Throws UsageError when there are none. */
async function followerOf(opened: Opened, flags: RunFlags): Promise<(session: Session) => () => void> {
  const { followSources, isWatchable } = await import('./watch.js');
  const filters = flags.wasm ?? [];
  if (![opened.name, ...filters].some(isWatchable))
    throw new UsageError(
      '--watch is for sources: run a ./folder, or a filter from --wasm ./folder or FILE.wasm',
    );
  const reopenFilters = (): Promise<FilterModule[]> => filtersOf(flags, () => openOptions(flags));
  return (session) => followSources({ session, image: opened.name, filters, reopenFilters });
}

function sayImage({ image, resolved }: OpenedGadget): void {
  say(`Image ${nameOf(resolved)}${image.digest}, from ${resolved.from} ${resolved.location}`);
  for (const warning of image.warnings) say(`Warning: ${warning}`);
}

/** The name the image was found by, with `@`; nothing for one in a file without a name. */
function nameOf({ from, reference }: OpenedGadget['resolved']): string {
  if (reference === undefined) return '';
  if (from === 'builtin') return `${reference.name}@`;
  const tag = reference.tag === undefined ? '' : `:${reference.tag}`;
  return `${reference.registry}/${reference.repository}${tag}@`;
}
