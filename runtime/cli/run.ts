// `ig run IMAGE`: reads the flags, runs the gadget until it is stopped, and says what was lost.

import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import type { Worker } from 'node:worker_threads';
import { missingCapabilities } from '../../bpf/errors.js';
import type { Param } from '../gadget/params.js';
import type { OutputRequest, ViewColumn } from '../pipeline/messages.js';
import { type OpenedGadget, Session, type SessionOptions, describeFields, openGadget } from '../session.js';
import { warmWorker } from '../pipeline/pipeline.js';
import { accountLine } from './account.js';
import { UsageError, fail, say } from './fail.js';
import { gadgetHelp, runHelp } from './run-help.js';
import { type RunFlags, readFlags, readImage, runOptions } from './run-flags.js';

/** A fixed look on a gadget, such as that of the classic `ig trace exec`. */
export interface View {
  readonly command: string;
  readonly image: string;
  /** Chooses the columns; may ask for some of its own by `-o columns=a,b`. */
  readonly columns: (
    values: ReadonlyMap<string, string>,
    choice: string | undefined,
  ) => readonly ViewColumn[];
}

/** Runs `ig run` with the words behind it. Returns when the gadget has stopped. */
export async function run(words: readonly string[]): Promise<void> {
  const { image, flags } = readImage(words, runOptions());
  if (image === undefined) {
    if (!flags.help)
      throw new UsageError('which gadget? Try `ig run trace_exec`; `ig list-gadgets` names what there is');
    writeSync(1, runHelp());
    return;
  }
  const worker = flags.help ? undefined : warmWorker();
  const opened = await openGadget(image, { registry: registryOptions(flags) });
  const reading = readFlags(words, runOptions(), opened.gadget.params);
  if (reading.flags.help) {
    writeSync(1, gadgetHelp(opened, await describeFields(opened.gadget), image));
    return;
  }
  const extra = reading.operands.filter((word) => word !== image);
  if (extra.length > 0) throw new UsageError(`one gadget at a time; what is ${extra.join(' ')}?`);
  await runGadget(
    opened,
    reading.flags,
    sessionOptions(reading.flags, reading.values, opened.gadget.params),
    worker,
  );
}

/** Runs a classic view of a gadget with the words behind its command. */
export async function runView(view: View, words: readonly string[]): Promise<void> {
  const { flags: first } = readImage(words, runOptions());
  const worker = first.help ? undefined : warmWorker();
  const opened = await openGadget(view.image, { registry: registryOptions(first) });
  const { operands, flags, values } = readFlags(words, runOptions(), opened.gadget.params);
  if (flags.help) {
    writeSync(1, gadgetHelp(opened, await describeFields(opened.gadget), view.image, view.command));
    return;
  }
  if (operands.length > 0)
    throw new UsageError(`\`${view.command}\` takes flags only; what is ${operands.join(' ')}?`);
  const [mode, choice] = splitOutput(flags.output);
  const options = sessionOptions({ ...flags, output: mode }, values, opened.gadget.params);
  const columns = view.columns(options.values, choice);
  await runGadget(opened, flags, { ...options, output: { ...options.output, view: columns } }, worker);
}

/** `columns=comm,ret` names columns; a mode alone does not. */
function splitOutput(output: string): [string, string | undefined] {
  const equals = output.indexOf('=');
  return equals < 0 ? [output, undefined] : [output.slice(0, equals), output.slice(equals + 1)];
}

function registryOptions(flags: RunFlags): { authFile?: string; insecureRegistries: readonly string[] } {
  return {
    insecureRegistries: flags.insecureRegistries,
    ...(flags.authfile === undefined ? {} : { authFile: flags.authfile }),
  };
}

function sessionOptions(
  flags: RunFlags,
  given: ReadonlyMap<string, string>,
  params: readonly Param[],
): SessionOptions {
  const values = new Map(params.map((param) => [param.key, given.get(param.key) ?? param.defaultValue]));
  const output: OutputRequest = {
    mode: flags.output,
    fd: 1,
    ...(flags.fields === undefined ? {} : { fields: flags.fields }),
    ...(isatty(1) ? { widthColumns: terminalWidth() } : {}),
  };
  return {
    values,
    host: flags.host,
    output,
    filters: flags.filter,
    maxEntries: flags.maxEntries,
    ...(flags.sort === undefined ? {} : { sort: flags.sort }),
    ...(flags.containername === undefined ? {} : { containerName: flags.containername }),
    ...(flags.dockerSocketpath === undefined ? {} : { dockerSocketPath: flags.dockerSocketpath }),
  };
}

function terminalWidth(): number {
  return process.stdout.columns || 80;
}

function requireCapabilities(): void {
  const missing = missingCapabilities(['CAP_BPF', 'CAP_PERFMON']);
  if (missing.length === 0) return;
  const how = process.getuid?.() === 0 ? 'give them to this process' : 'run it as root, with sudo';
  throw new Error(
    `tracing needs the ${missing.length > 1 ? 'capabilities' : 'capability'} ${missing.join(' and ')}, which this process lacks; ${how}`,
  );
}

async function runGadget(
  opened: OpenedGadget,
  flags: RunFlags,
  options: SessionOptions,
  worker?: Worker,
): Promise<void> {
  requireCapabilities();
  if (flags.verbose) sayImage(opened);
  const end = waitForEnd(flags.timeout);
  const session = await Session.start(
    opened.gadget,
    options,
    {
      warn: (sentence) => say(`Warning: ${sentence}`),
      outputClosed: () => end.now('closed'),
      failed: (error) => end.now(error),
    },
    worker,
  );
  if (isatty(1)) process.on('SIGWINCH', () => session.resize(terminalWidth()));
  const reason = await end.reason;
  const account = await session.stop();
  if (reason instanceof Error) fail(reason, flags.verbose);
  const line = accountLine(account, flags.verbose);
  if (line !== undefined && reason !== 'closed') say(line);
}

function sayImage({ image, resolved }: OpenedGadget): void {
  say(
    `Image ${resolved.reference?.toString() ?? 'without a name'}@${image.digest}, from ${resolved.from} ${resolved.location}`,
  );
  for (const warning of image.warnings) say(`Warning: ${warning}`);
}

type End = 'stopped' | 'closed' | Error;

/** Ends at a signal, after the time-out, or when told. A second signal ends the process at once. */
function waitForEnd(timeoutSeconds: number): { reason: Promise<End>; now: (reason: End) => void } {
  let resolve: (reason: End) => void = () => undefined;
  const reason = new Promise<End>((settle) => (resolve = settle));
  let signals = 0;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (++signals > 1) process.exit(130);
      resolve('stopped');
    });
  }
  if (timeoutSeconds > 0) setTimeout(() => resolve('stopped'), timeoutSeconds * 1000).unref();
  return { reason, now: resolve };
}
