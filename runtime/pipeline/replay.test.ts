import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { TableChange } from '../containers/change.js';
import type { SelectorOptions } from '../containers/selector.js';
import { ContainerView } from '../containers/view.js';
import { makeDataSource } from '../data/spec.js';
import { RecordedNames } from '../operators/users.js';
import { ByteWriter } from '../output/byte-writer.js';
import { RecordingError } from '../recording/errors.js';
import { FrameReader, openRecording, type Recording } from '../recording/reader.js';
import {
  batchOf,
  container,
  DB_NS,
  HEADER,
  HOST,
  record,
  recordAll,
  temporaryFile,
  WEB_NS,
} from '../recording/testing.js';
import type { RecordingWriter } from '../recording/writer.js';
import { Batch, MAX_BATCH_BYTES } from '../data/batch.js';
import { Chain, compileChains } from './chain.js';
import { HashTable } from './hash-table.js';
import { Control, type Counts } from './control.js';
import type { Replayed, WorkerConfig } from './messages.js';
import { replay } from './replay.js';
import { Modules } from './modules.js';
import { Sink, type SinkPort } from './sink.js';

interface Shown {
  readonly events: readonly Record<string, unknown>[];
  readonly counts: Counts;
  readonly replayed: Replayed;
}

interface Options {
  readonly filters?: readonly string[];
  readonly selection?: SelectorOptions;
  /** Where a worker before this one was when it ended. */
  readonly position?: number;
  /** Called with the times that modules are told. */
  readonly turned?: (nowMs: number) => void;
}

/** Replays as the worker does, to JSON. */
function show(path: string, options: Options = {}): Shown {
  const recording = openRecording(path);
  try {
    return showOpen(recording, options);
  } finally {
    recording.close();
  }
}

function showOpen(
  { fd, framesAt, header }: Recording,
  { filters = [], selection, position = 0, turned }: Options,
): Shown {
  const shared = new Float64Array(new SharedArrayBuffer(8)).fill(position);
  const { sources, bootToEpochNs, naming, hashing = false } = header;
  const control = new Control();
  const config: WorkerConfig = {
    ...{ sources, bootToEpochNs, filters, control: control.memory, rings: [], modules: [], maxEntries: -1 },
    hashing,
    containers: { ...naming, filtering: naming.filtering || selection !== undefined, changes: [] },
    output: { mode: 'json', fd: 1 },
    replay: { fd, framesAt, position: shared.buffer, ...(selection === undefined ? {} : { selection }) },
  };
  let text = '';
  const write: SinkPort['write'] = (_, bytes, start, end) => {
    text += Buffer.from(bytes.subarray(start, end)).toString();
    return end - start;
  };
  const sink = new Sink(1, control, { write, unread: () => 0 });
  const [view, names, hashes] = [new ContainerView(), new RecordedNames(), new HashTable()];
  const modules = new Modules(control, () => undefined);
  const chainParts = {
    ...{ control, sink, view, writer: new ByteWriter(1 << 16), recorder: undefined },
    ...{ modules, askContainer: () => undefined, catchUp: () => undefined },
    userFiles: { recorded: names },
    hashing: hashing ? { table: hashes, ask: () => undefined } : undefined,
  };
  const chains = sources.map((spec, index) => new Chain(makeDataSource(spec), index, config, chainParts));
  compileChains(chains, config, () => true);
  const clock = { turn: (...[nowMs]: Parameters<Modules['turn']>): void => turned?.(nowMs) };
  const replayed = replay(config, { chains, view, control, sink, modules: clock, names, hashes })!;
  const lines = text.split('\n').slice(0, -1);
  return {
    replayed,
    counts: control.counts(),
    events: lines.map((line) => JSON.parse(line) as Shown['events'][0]),
  };
}

const nameIn = (event: Record<string, unknown>): unknown =>
  (event['runtime'] as Record<string, unknown> | undefined)?.['containerName'];
const shownOf = ({ events }: Shown): unknown[] => events.map((event) => [event['comm'], nameIn(event)]);

describe('a replay', () => {
  it('shows every event with what was known of its container and its user at the time', () => {
    const { events, counts, replayed } = show(recordAll());
    expect(events).toMatchObject([
      {
        ...{ comm: 'sh', args: '-c true', uid: 0, user: 'root', container_user: 'boss', pid: 0 },
        time: expect.stringMatching(/123457789/) as string,
        runtime: { containerName: 'web', runtimeName: 'docker' },
        k8s: { podName: 'web-0', hostnetwork: false },
      },
      { comm: 'ls', args: '' },
      { comm: 'db', user: 'uid:7', runtime: { containerName: 'db' } },
      { comm: 'db', args: 'second', runtime: { containerName: 'db' } },
    ]);
    expect(nameIn(events[1]!)).toBeUndefined();
    expect(counts).toMatchObject({ read: 4, delivered: 4, filtered: 0 });
    expect(replayed).toEqual({ losses: new Map([['ring buffer full', 3]]) });
  });

  it('filters', () => {
    const { events, counts } = show(recordAll(), { filters: ['comm==db,args!='] });
    expect(events).toMatchObject([{ args: 'second' }]);
    expect(counts).toMatchObject({ read: 4, delivered: 1, filtered: 3 });
  });

  it.each([
    [{ containerName: 'web' }, [['sh', 'web']]],
    [{ containerName: '!web' }, [['db', 'db'], ['db', 'db']]], // prettier-ignore
    [{ k8sNamespace: 'shop' }, [['sh', 'web']]],
    [{ containerName: 'web', host: true }, [['sh', 'web'], ['ls', undefined]]], // prettier-ignore
  ])('shows the containers that are asked for: %j', (selection, expected) => {
    expect(shownOf(show(recordAll(), { selection }))).toEqual(expected);
  });

  it('never shows what the run did not', () => {
    const path = record(
      (writer) => {
        writer.start([
          { kind: 'notContainer', mntns: HOST, sinceBootNs: 0, selected: false },
          { ...addition(0, 'web', WEB_NS), selected: false },
          addition(1, 'db', DB_NS),
        ]);
        writer.batch(0, batchOf(...[HOST, WEB_NS, DB_NS].map((mntns) => ({ mntns, comm: 'x' }))), 1);
      },
      { header: { ...HEADER, naming: { ...HEADER.naming, filtering: true } } },
    );
    for (const selection of [undefined, { host: true }, { containerName: 'web,db', host: true }])
      expect(shownOf(show(path, selection && { selection }))).toEqual([['x', 'db']]);
  });

  it('has events wait for the name of their container as long as they did', () => {
    const late = (named: boolean): string =>
      record((writer) => {
        writer.start([{ kind: 'notContainer', mntns: HOST, sinceBootNs: 0, selected: true }]);
        writer.batch(0, batchOf({ mntns: WEB_NS, comm: 'early' }), 100);
        writer.batch(0, batchOf({ mntns: HOST, comm: 'between' }), 200);
        if (named) writer.change(addition(0, 'web', WEB_NS));
        writer.release(0, named ? 300 : 3100);
        writer.batch(0, batchOf({ mntns: HOST, comm: 'after' }), 4000);
        if (!named) writer.change(addition(0, 'web', WEB_NS));
      });
    expect(shownOf(show(late(true)))).toEqual([['between', undefined], ['early', 'web'], ['after', undefined]]); // prettier-ignore
    expect(shownOf(show(late(false)))).toEqual([['between', undefined], ['early', undefined], ['after', undefined]]); // prettier-ignore
  });

  it('tells modules no time without end, as that of what waits at the end of a run', () => {
    const path = record((writer) => {
      writer.start([]);
      writer.batch(0, batchOf({ mntns: WEB_NS, comm: 'waits' }), 100);
      writer.release(0, Infinity);
    });
    const times: number[] = [];
    expect(show(path, { turned: (nowMs) => times.push(nowMs) }).events).toMatchObject([{ comm: 'waits' }]);
    expect(times.every(Number.isFinite)).toBe(true);
  });

  it('goes on with an empty table where another worker took over', () => {
    const path = record((writer) => {
      writer.start([addition(0, 'web', WEB_NS)]);
      writer.batch(0, batchOf({ mntns: WEB_NS, comm: 'a' }, { mntns: DB_NS, comm: 'waits' }), 1000);
      writer.start([addition(0, 'renamed', WEB_NS)]);
      writer.batch(0, batchOf({ mntns: WEB_NS, comm: 'b' }), 1);
    });
    expect(shownOf(show(path))).toEqual([['a', 'web'], ['waits', undefined], ['b', 'renamed']]); // prettier-ignore
  });

  it('goes on where a worker that hung has been, with all that it knew', () => {
    const path = recordAll();
    const recording = openRecording(path);
    const reader = new FrameReader(recording.fd, recording.framesAt, recording.header.sources);
    const batch = new Batch(MAX_BATCH_BYTES);
    let batches = 0;
    while (batches < 1) if (reader.next(batch)?.kind === 'batch') batches++;
    recording.close();
    const { events, replayed } = show(path, { position: reader.position });
    expect(events).toMatchObject([
      { comm: 'db', runtime: { containerName: 'db' } },
      { args: 'second', user: 'root' },
    ]);
    expect(replayed.losses).toBeDefined();
  });

  it('shows what is whole of a recording that is cut off, and what waited', () => {
    const path = record(
      (writer) => {
        writer.start([]);
        writer.batch(0, batchOf({ mntns: WEB_NS, comm: 'waits' }), 1);
      },
      { end: false },
    );
    const { events, replayed } = show(path);
    expect(events).toMatchObject([{ comm: 'waits' }]);
    expect(replayed).toEqual({ losses: undefined });
  });

  it('refuses a table of containers that would take for ever to look into', () => {
    const flood = (write: (writer: RecordingWriter, i: number) => void): string =>
      record((writer) => {
        writer.start([]);
        for (let i = 0; i < 2000; i++) write(writer, i);
        writer.batch(0, batchOf({ mntns: HOST, comm: 'x' }), 1);
      });
    const refused = flood((writer, i) => writer.change(addition(i % 2, 'web', WEB_NS)));
    expect(show(refused).replayed.damage).toBe('it tells of more containers than a machine can have');
    const fine = [
      flood((writer) => writer.change(addition(0, 'web', WEB_NS))),
      flood((writer, i) => {
        writer.change(addition(i, 'web', WEB_NS));
        if (i > 10) writer.change({ kind: 'remove', index: i - 10 });
      }),
    ];
    for (const path of fine) expect(show(path).replayed.damage).toBeUndefined();
  });
});

function addition(index: number, name: string, mntns: number): Extract<TableChange, { kind: 'add' }> {
  return { kind: 'add', index, mntns, sinceBootNs: 0, selected: true, container: container(name, mntns) };
}

/** https://en.wikipedia.org/wiki/Linear_congruential_generator, with the numbers of Numerical Recipes. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe('a recording with anything in it', () => {
  const ODD = [0, 1, 0x7f, 0x80, 0x90, 0xc1, 0xd4, 0xdc, 0xdf, 0xff];

  /** Changes some bytes, takes some out, or doubles some. */
  function mutated(bytes: Buffer, random: (below: number) => number): Buffer {
    let copy = Buffer.from(bytes);
    for (let changes = 1 + random(4); changes > 0; changes--) {
      const at = random(copy.length);
      const length = random(40);
      const rest = copy.subarray(at + length);
      switch (random(4)) {
        case 0:
          copy = Buffer.concat([copy.subarray(0, at), rest]);
          break;
        case 1:
          copy = Buffer.concat([copy.subarray(0, at + length), copy.subarray(at)]);
          break;
        default:
          copy[at] = random(2) === 0 ? random(256) : ODD[random(ODD.length)]!;
      }
    }
    return copy;
  }

  it('is shown, or refused by one sentence', () => {
    const original = readFileSync(recordAll());
    const path = temporaryFile();
    const outcomes = { shown: 0, damaged: 0, refused: 0 };
    for (let seed = 1; seed <= 1000; seed++) {
      writeFileSync(path, mutated(original, randomFrom(seed)));
      try {
        outcomes[show(path).replayed.damage === undefined ? 'shown' : 'damaged']++;
      } catch (error) {
        if (!(error instanceof RecordingError)) throw new Error(`seed ${seed}`, { cause: error });
        outcomes.refused++;
      }
    }
    expect(Math.min(...Object.values(outcomes))).toBeGreaterThan(20);
  });
});
