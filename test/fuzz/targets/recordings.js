// Recordings: spoilt ones are replayed as far as they go; what is written is what is read.

import { closeSync, readFileSync, rmSync } from 'node:fs';
import { ContainerView } from '../../../dist/runtime/containers/view.js';
import { Batch, MAX_BATCH_BYTES } from '../../../dist/runtime/data/batch.js';
import { makeDataSource } from '../../../dist/runtime/data/spec.js';
import { HASH_FAILURES } from '../../../dist/runtime/hashing/file.js';
import { OperatorError } from '../../../dist/runtime/operators/errors.js';
import { OutputError } from '../../../dist/runtime/output/errors.js';
import { Chain, compileChains } from '../../../dist/runtime/pipeline/chain.js';
import { PipelineError } from '../../../dist/runtime/pipeline/errors.js';
import { HashTable } from '../../../dist/runtime/pipeline/hash-table.js';
import { replay } from '../../../dist/runtime/pipeline/replay.js';
import { RecordingError } from '../../../dist/runtime/recording/errors.js';
import { FrameReader, openRecording } from '../../../dist/runtime/recording/reader.js';
import { RecordingWriter, createRecording, endRecording } from '../../../dist/runtime/recording/writer.js';
import { Input } from '../input.js';
import { ensure, ensureSame, safeText } from '../oracles.js';
import { scratchFile } from '../scratch.js';
import { CONFIG, sharedOf } from './records.js';
import { batchFrom, sourceFrom } from './schemas.js';

const REFUSALS = [RecordingError, OperatorError, OutputError, PipelineError];
const BATCH = new Batch(MAX_BATCH_BYTES);
const MODES = ['json', 'columns', 'yaml'];

/** Replays in one of the modes; what is written is fit for a terminal, and every event is accounted for. */
function runRecording(bytes) {
  const recording = openRecording(scratchFile('recording', bytes));
  try {
    checkBatches(recording);
    replayIn(MODES[bytes.length % MODES.length], recording);
  } finally {
    recording.close();
  }
}

/** Every record of a batch is whole: accessors do not look. Damage is refused, and told again by the replay. */
function checkBatches({ fd, framesAt, header: { sources } }) {
  const reader = new FrameReader(fd, framesAt, sources);
  try {
    for (let frame = reader.next(BATCH); frame !== undefined; frame = reader.next(BATCH)) {
      if (frame.kind !== 'batch') continue;
      const { offsets, count } = BATCH;
      for (let row = 0; row < count; row++)
        ensure(offsets[row + 1] - offsets[row] >= sources[frame.source].recordSize, 'a record is too short');
    }
  } catch (error) {
    if (!(error instanceof RecordingError)) throw error;
  }
}

function replayIn(mode, { fd, framesAt, header }) {
  const { sources, bootToEpochNs, naming } = header;
  const position = new SharedArrayBuffer(8);
  const output = { mode, fd: 1, ...(mode === 'columns' ? { widthColumns: 80 } : {}) };
  const config = { ...CONFIG, sources, bootToEpochNs, output, containers: { ...naming, changes: [] } };
  const view = new ContainerView();
  const shared = sharedOf(view, (bytes) => {
    safeText(bytes, mode);
    return bytes.length;
  });
  const chains = sources.map((spec, i) => new Chain(makeDataSource(spec), i, config, shared));
  compileChains(chains, config, () => true);
  const { control, sink, modules, userFiles } = shared;
  const parts = { chains, view, control, sink, modules, names: userFiles.recorded, hashes: new HashTable() };
  replay({ ...config, replay: { fd, framesAt, position } }, parts);
  const { read, ...fates } = control.counts();
  ensureSame(
    Object.values(fates).reduce((sum, count) => sum + count),
    read,
    'the account of events',
  );
}

/** Operations of a run, as they are recorded, and what a reader should make of them. */
function operationsFrom(input, sources) {
  return input.list(12, () => {
    switch (input.below(6)) {
      case 0:
        return { kind: 'start' };
      case 1:
        return { kind: 'change', change: changeFrom(input) };
      case 2:
        return {
          kind: 'names',
          of: input.choose(['users', 'groups']),
          names: new Map(input.list(4, () => [input.u32(), input.text()])),
        };
      case 3:
        return { kind: 'hashed', file: hashedFrom(input) };
      case 4: {
        const source = input.below(sources.length);
        return { kind: 'batch', source, nowMs: input.u32() / 3, batch: batchFrom(input, sources[source]) };
      }
      default:
        return {
          kind: 'release',
          source: input.below(sources.length),
          nowMs: input.once(3) ? Infinity : input.u32(),
        };
    }
  });
}

function changeFrom(input) {
  const at = { mntns: input.u32(), sinceBootNs: input.u32() };
  switch (input.below(5)) {
    case 0:
      return { kind: 'leave', index: input.u32(), untilBootNs: input.once(2) ? Infinity : input.u32() };
    case 1:
      return { kind: 'remove', index: input.u32() };
    case 2:
      return { kind: 'unknown', ...at };
    case 3:
      return { kind: 'notContainer', ...at, selected: input.once(2) };
    default:
      return {
        kind: 'add',
        index: input.u32(),
        ...at,
        selected: input.once(2),
        container: containerFrom(input),
      };
  }
}

function containerFrom(input) {
  const texts = ['key', 'id', 'name', 'imageName', 'imageDigest', 'imageId', 'startedAt', 'bundle'];
  const pod = ['namespace', 'podName', 'podUid', 'containerName', 'ownerKind', 'ownerName', 'sandboxId'];
  const textsOf = (keys) => Object.fromEntries(keys.map((key) => [key, input.text(8)]));
  const names = () => new Map(input.list(3, () => [input.u32(), input.text(8)]));
  return {
    ...textsOf(texts),
    runtime: input.choose(['', 'docker', 'podman']),
    pid: input.u32(),
    mntns: input.u32(),
    ...(input.once(2) ? { cgroupId: input.u32() } : {}),
    ...(input.once(2) ? { pod: { ...textsOf(pod), labels: { [input.text()]: 'x' } } } : {}),
    ...(input.once(2) ? { accounts: { users: names(), groups: names() } } : {}),
  };
}

function hashedFrom(input) {
  const file = { major: input.u32(), minor: input.u32(), inode: input.u64(), ctimeNs: input.u64() };
  return input.once(2)
    ? { ...file, sha256: 'ab'.repeat(32) }
    : { ...file, failure: input.choose(HASH_FAILURES) };
}

function write(path, header, operations) {
  rmSync(path, { force: true });
  const fd = createRecording(path, header, undefined);
  const writer = new RecordingWriter(fd, {
    recorded: () => undefined,
    failed: (reason) => {
      throw new TypeError(reason);
    },
  });
  for (const operation of operations) {
    const { kind } = operation;
    if (kind === 'start') writer.start([]);
    else if (kind === 'change') writer.change(operation.change);
    else if (kind === 'names') writer.names(operation.of, operation.names);
    else if (kind === 'hashed') writer.hashed(operation.file);
    else if (kind === 'release') writer.release(operation.source, operation.nowMs);
    else if (operation.batch.count > 0) writer.batch(operation.source, operation.batch, operation.nowMs);
  }
  endRecording(fd, { losses: new Map([['ring buffer full', 3]]) });
  closeSync(fd);
}

const HEADER = {
  ig: '0',
  gadget: 'g',
  description: '',
  image: '',
  bootToEpochNs: 1n,
  naming: { filtering: false, hostMntns: 1 },
};

/** What is recorded is read again as it was. */
function runWritten(bytes) {
  const input = new Input(bytes);
  const specs = [sourceFrom(input), sourceFrom(input)];
  const header = { ...HEADER, sources: specs };
  const operations = operationsFrom(
    input,
    specs.map((spec) => makeDataSource(spec)),
  );
  const path = scratchFile('written', Buffer.alloc(0));
  write(path, header, operations);
  const recording = openRecording(path);
  try {
    ensureSame(recording.header, header, 'the header');
    const reader = new FrameReader(recording.fd, recording.framesAt, recording.header.sources);
    for (const operation of operations) {
      if (operation.kind === 'batch' && operation.batch.count === 0) continue;
      readBack(reader, operation);
    }
    ensureSame(reader.next(new Batch(0))?.kind, 'end', 'what comes last');
  } finally {
    recording.close();
  }
}

function readBack(reader, { batch, ...operation }) {
  const into = new Batch(batch === undefined ? 0 : batch.bytes.length);
  const { names, ...frame } = reader.next(into);
  if (operation.kind !== 'names') ensureSame(frame, operation, 'a frame');
  else ensureSame([...names], [...operation.names], 'names');
  if (batch === undefined) return;
  ensureSame(recordsOf(into), recordsOf(batch), 'the records of a batch');
}

function recordsOf({ bytes, offsets, count }) {
  return Array.from({ length: count }, (_, row) =>
    Buffer.from(bytes.slice(offsets[row], offsets[row + 1])).toString('hex'),
  );
}

/** Recordings of any schema, from any bytes. */
function recordings() {
  return [3, 17, 59].flatMap((step) => {
    const input = new Input(
      Buffer.from(Array.from({ length: 2000 }, (_, i) => (i * step + (i >> 2)) & 0xff)),
    );
    try {
      const specs = [sourceFrom(input), sourceFrom(input)];
      const path = scratchFile('seed', Buffer.alloc(0));
      write(
        path,
        { ...HEADER, sources: specs },
        operationsFrom(
          input,
          specs.map((spec) => makeDataSource(spec)),
        ),
      );
      return [readFileSync(path)];
    } catch (error) {
      if (error instanceof RecordingError) return [];
      throw error;
    }
  });
}

export const TARGETS = {
  recording: {
    seeds: recordings,
    words: [
      'ig-recording v1\n',
      '\x93',
      '\xdc\xff\xff',
      '\xdd\xff\xff\xff\xff',
      '\xa4kind',
      '\xa3add',
      '\xa5index',
    ],
    refusals: REFUSALS,
    run: runRecording,
  },
  written: {
    seeds: () => [5, 29].map((step) => Buffer.from(Array.from({ length: 900 }, (_, i) => (i * step) & 0xff))),
    refusals: REFUSALS,
    isStructured: true,
    run: runWritten,
  },
};
