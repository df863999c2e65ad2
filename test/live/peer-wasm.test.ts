/** Gadgets with modules of the peer's Wasm API, run by `ig` as built, on real execs: one built by Go, some by hand. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from '@bytecodealliance/jco-transpile/wasm-tools';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BpfMap, ObjectSpec } from '../../bpf/index.js';
import { ociArchitecture } from '../../oci/descriptor.js';
import { buildGadgetImage } from '../../oci/gadget-image.js';
import { Layout } from '../../oci/layout.js';
import { coreServices } from '../../runtime/pipeline/core-services.js';
import { HEADER, HOST, batchOf, record } from '../../runtime/recording/testing.js';
import { type Parts, Script } from '../../wasm/host/core/testing.js';
import { Ig, parseAccount, runIg } from '../ig.js';
import { until } from '../until.js';
import { createTemporaryDirectory, removeDirectory, temporaryDirectory } from '../registry/images.js';
import { compileFile } from './compile.js';
import { type Programs, buildPrograms, runProgram } from './programs.js';

const FOLDER = fileURLToPath(new URL('peer-wasm', import.meta.url));
const NAME = 'x/peer_wasm:v1';
/** A user without a name: the filter for it keeps the rest of the machine out. */
const UID = 61_377;
const KIND_UINT32 = 8;
const KIND_STRING = 12;
const METADATA = `
name: peer_wasm
params:
  wasm:
    prefix:
      key: prefix
      defaultValue: 'ran '
`;
/** The images here are not signed. */
const env = { INSPEKTOR_GADGET_OPERATOR_OCI_VERIFY_IMAGE: 'false' };

const hasGo = spawnSync('go', ['version']).status === 0;

let ebpf: Uint8Array;
let programs: Programs;
beforeAll(() => {
  ebpf = compileFile(join(FOLDER, 'program.bpf.c'));
  programs = buildPrograms();
});
afterAll(() => programs.remove());

/** A layout with the test's gadget and this module. */
async function imageWith(wasm: Uint8Array): Promise<string> {
  const path = temporaryDirectory();
  await buildGadgetImage(new Layout(path), {
    ref: NAME,
    metadata: Buffer.from(METADATA),
    platforms: [{ architecture: ociArchitecture(), ebpf, wasm }],
  });
  return path;
}

const wasmOf = (script: Script, parts: Parts): Promise<Uint8Array> => parse(script.wat(parts));

interface Event {
  readonly proc: { readonly comm: string; readonly pid: number };
  readonly mark: number;
  readonly note: string;
  readonly shout?: string;
  readonly seen?: number;
  readonly who?: string;
  readonly count?: number;
}

/** A snapshot is a list on one line. */
function eventsOf(stdout: string): Event[] {
  return stdout
    .split('\n')
    .filter(Boolean)
    .flatMap((line) => JSON.parse(line) as Event | Event[]);
}

const tracing = (image: string, ...flags: string[]): Promise<Ig> =>
  Ig.tracing(['run', image, '--host', '-o', 'json', '-F', `proc.creds.uid==${UID}`, ...flags], { env });

/** Executes copies of a program under these names, one after the other. Returns their pids. */
async function execute(...names: string[]): Promise<number[]> {
  const pids: number[] = [];
  for (const name of names) pids.push((await runProgram(programs.tinyAs(name), [], { uid: UID })).pid);
  return pids;
}

describe.skipIf(!hasGo)('a module built by Go', () => {
  let directory: string;
  let module: Uint8Array;
  beforeAll(() => {
    directory = createTemporaryDirectory();
    const output = join(directory, 'program.wasm');
    execFileSync('go', ['build', '-buildmode=c-shared', '-o', output, '.'], {
      cwd: FOLDER,
      env: { ...process.env, GOOS: 'wasip1', GOARCH: 'wasm', GOPROXY: 'off' },
    });
    module = readFileSync(output);
  });
  afterAll(() => removeDirectory(directory));

  it('adds a field, replaces one, sets a map, and sums up at the end', async () => {
    const image = await imageWith(module);
    const ig = await Ig.tracing(['run', image, '--host', '-o', 'json', '--prefix', 'hey '], { env });
    const pids = await execute('ig-one', 'ig-two', 'ig-one');
    await ig.until(() => eventsOf(ig.stdout).filter(({ proc }) => pids.includes(proc?.pid)).length === 3);
    const { stdout, stderr, status } = await ig.stop();
    expect(status).toBe(0);

    const events = eventsOf(stdout);
    const ours = pids.map((pid) => events.find(({ proc }) => proc?.pid === pid)!);
    expect(ours.map(({ shout }) => shout)).toEqual(['hey IG-ONE', 'hey IG-TWO', 'hey IG-ONE']);
    expect(ours.map(({ seen }) => seen)).toEqual([1, 1, 2]);
    expect(ours.map(({ note }) => note)).toEqual(pids.map((pid) => `pid ${pid}`));
    // The map was set before the first event.
    expect(new Set(ours.map(({ mark }) => mark))).toEqual(new Set([4711]));
    expect(stderr).toMatch(/^peer_wasm: mark 4711 true$/m);
    // Another data source, when it is stopped.
    const totals = new Map(events.flatMap(({ who, count }) => (who === undefined ? [] : [[who, count]])));
    expect(totals.get('ig-one')).toBe(2);
    expect(totals.get('ig-two')).toBe(1);
    const { delivered, lost } = parseAccount(stderr);
    expect([delivered, lost]).toEqual([events.length, 0]);
  });

  it('tells its fields and its data source in the help', async () => {
    const { stdout, status } = await runIg(['run', await imageWith(module), '-h'], { env });
    expect(status).toBe(0);
    expect(stdout).toMatch(/exec: shout +string/);
    expect(stdout).toMatch(/totals: count +uint32/);
    expect(stdout).toMatch(/--prefix/);
  });
});

describe('a module that does harm', () => {
  /** Adds the field `seen`, and does something else for a program named `ig-harm`. */
  function harmful(harm: string): Promise<Uint8Array> {
    const s = new Script();
    const comm = s.buffer(16);
    const address = Number(comm & 0xffff_ffffn);
    return wasmOf(s, {
      init: [
        s.set('exec', 'getDataSource', s.text('exec')),
        s.set('comm', 'dataSourceGetField', s.get('exec'), s.text('proc.comm')),
        s.set('seen', 'dataSourceAddField', s.get('exec'), s.text('seen'), KIND_UINT32),
        `(drop ${s.call('dataSourceSubscribe', s.get('exec'), 1, 0, 1n)})`,
      ],
      event: [
        `(drop ${s.call('fieldGetBuffer', s.get('comm'), '(local.get $data)', KIND_STRING, comm)})`,
        // Behind the 7 bytes stands what is left of a longer name.
        `(if (i64.eq (i64.shl (i64.load (i32.const ${address})) (i64.const 8)) (i64.const ${Buffer.from('\0ig-harm').readBigInt64LE()})) (then ${harm}))`,
        `(drop ${s.call('fieldSet', s.get('seen'), '(local.get $data)', KIND_UINT32, 1n)})`,
      ],
    });
  }

  /** Runs `ig-harm` until a warning says so, then another program. */
  async function provoke(ig: Ig, warning: RegExp, times: number): Promise<void> {
    const told = (): number => (ig.stderr.match(new RegExp(warning, 'g')) ?? []).length;
    while (told() < times) {
      const before = told();
      await execute('ig-harm');
      // A module that rests gets nothing, and it takes another one then.
      await until(() => told() > before, 'a warning', 4000).catch(() => undefined);
    }
    const pids = await execute('ig-fine');
    await ig.until(() => eventsOf(ig.stdout).some(({ proc }) => pids.includes(proc.pid)));
  }

  it('by a trap loses the batch, and goes on with a new instance', async () => {
    const ig = await tracing(await imageWith(await harmful('(unreachable)')));
    await provoke(ig, /failed in dataSourceCallback: .*; its batch is lost/, 1);
    const { stdout, stderr } = await ig.stop();
    expect(eventsOf(stdout).at(-1)).toMatchObject({ proc: { comm: 'ig-fine' }, seen: 1 });
    expect(parseAccount(stderr).causes.get('Wasm module failed')).toBeGreaterThan(0);
  });

  it('by an endless loop is stopped, and left out after the third time', async () => {
    const ig = await tracing(await imageWith(await harmful('(loop $more (br $more))')));
    await provoke(ig, /took longer than 2000 ms for a batch and was stopped/, 3);
    const { stdout, stderr, status } = await ig.stop();
    expect(status).toBe(0);
    const last = eventsOf(stdout).at(-1)!;
    expect(last.proc.comm).toBe('ig-fine');
    expect(last).not.toHaveProperty('seen');
    expect(stderr).toMatch(/and was stopped; events go on without the module$/m);
  });

  it('by logging without end is cut short', async () => {
    const s = new Script();
    const log = s.call('gadgetLog', 2, s.text('again'));
    const wasm = await wasmOf(s, {
      start: [
        `(loop $more ${log} (global.set $n (i32.add (global.get $n) (i32.const 1))) (br_if $more (i32.lt_u (global.get $n) (i32.const 100000))))`,
      ],
      more: '(global $n (mut i32) (i32.const 0)) (func (export "gadgetAPIVersion") (result i64) (i64.const 1))',
    });
    const ig = await tracing(await imageWith(wasm));
    const { stderr } = await ig.stop();
    expect(stderr.match(/peer_wasm: again/g)!.length).toBeLessThanOrEqual(500);
    expect(stderr).toMatch(/Warning: peer_wasm: it logs too much/);
  });

  it('by refusing to start is told with its own words', async () => {
    const s = new Script();
    const image = await imageWith(
      await wasmOf(s, { init: [s.call('gadgetLog', 0, s.text('no such hook')), '(return (i32.const 4))'] }),
    );
    const { stderr, status } = await runIg(['run', image, '--host'], { env });
    expect(stderr).toBe(
      "Error: peer_wasm: no such hook\nError: the gadget's Wasm module failed in gadgetInit: it returned 4\n",
    );
    expect(status).toBe(1);
  });
});

describe('a module that takes over', () => {
  it('hides the kernel’s data source and shows its own', async () => {
    const s = new Script();
    const wasm = await wasmOf(s, {
      init: [
        s.set('exec', 'getDataSource', s.text('exec')),
        s.set('pid', 'dataSourceGetField', s.get('exec'), s.text('proc.pid')),
        `(drop ${s.call('dataSourceUnreference', s.get('exec'))})`,
        s.set('alerts', 'newDataSource', s.text('alerts'), 1),
        s.set('count', 'dataSourceAddField', s.get('alerts'), s.text('count'), KIND_UINT32),
        `(drop ${s.call('dataSourceSubscribe', s.get('exec'), 1, 0, 1n)})`,
      ],
      event: [
        s.set('packet', 'dataSourceNewPacketSingle', s.get('alerts')),
        `(drop ${s.call('fieldSet', s.get('count'), s.get('packet'), KIND_UINT32, s.call('fieldGetScalar', s.get('pid'), '(local.get $data)', KIND_UINT32, 0))})`,
        `(drop ${s.call('dataSourceEmitAndRelease', s.get('alerts'), s.get('packet'))})`,
      ],
    });
    const image = await imageWith(wasm);
    // A filter is for what is shown.
    const ig = await Ig.tracing(['run', image, '--host', '-o', 'json', '-F', 'count>0'], { env });
    const [pid] = await execute('ig-one');
    await ig.until(() => eventsOf(ig.stdout).some(({ count }) => count === pid));
    const { stdout } = await ig.stop();
    for (const event of eventsOf(stdout)) expect(Object.keys(event)).toEqual(['count']);
  });

  it('attaches a program elsewhere, and leaves one out', async () => {
    const s = new Script();
    const set = (program: string, value: string): string =>
      `(drop ${s.call('setConfig', s.text(`programs.${program}.attach_to`), s.text(value), KIND_STRING)})`;
    const wasm = await wasmOf(s, {
      init: [set('ig_other', 'sched/sched_process_exec'), set('ig_exec', 'gadget_program_disabled')],
    });
    const ig = await tracing(await imageWith(wasm));
    const [pid] = await execute('ig-one');
    await ig.until(() => eventsOf(ig.stdout).some(({ proc }) => proc.pid === pid));
    const { stdout } = await ig.stop();
    expect(eventsOf(stdout).map(({ note }) => note)).toEqual(['other']);
  });

  it('cannot configure a program that there is not', async () => {
    const s = new Script();
    const wasm = await wasmOf(s, {
      init: [`(drop ${s.call('setConfig', s.text('programs.nothing.attach_to'), s.text('x'), KIND_STRING)})`],
    });
    const { stderr, status } = await runIg(['run', await imageWith(wasm), '--host'], { env });
    expect(stderr).toBe(
      'Error: the Wasm module of gadget peer_wasm sets programs.nothing.attach_to, but there is no such program\n',
    );
    expect(status).toBe(1);
  });
});

describe('a recording', () => {
  /** Of a gadget whose module marks the events that it subscribes to when it starts. */
  async function recording(start: (s: Script) => readonly string[]): Promise<string> {
    const s = new Script();
    const module = await wasmOf(s, {
      init: [
        s.set('exec', 'getDataSource', s.text('exec')),
        s.set('seen', 'dataSourceAddField', s.get('exec'), s.text('seen'), KIND_UINT32),
      ],
      preStart: [`(drop ${s.call('dataSourceSubscribe', s.get('exec'), 1, 0, 1n)})`],
      start: start(s),
      event: [`(drop ${s.call('fieldSet', s.get('seen'), '(local.get $data)', KIND_UINT32, 1n)})`],
    });
    const digest = createHash('sha256').update(module).digest('hex');
    return record((writer) => writer.batch(0, batchOf({ mntns: HOST, comm: 'ls' }), 1), {
      header: { ...HEADER, wasm: { digest, params: [] } },
      module,
    });
  }

  it('is replayed with the module started as in a run', async () => {
    const { stdout, stderr } = await runIg(['replay', await recording(() => []), '-o', 'json']);
    expect(eventsOf(stdout)).toMatchObject([{ comm: 'ls', seen: 1 }]);
    expect(stderr).toMatch(/^(?!.*Warning)/s);
  });

  it('is replayed without a module that cannot start without the gadget', async () => {
    const path = await recording((s) => [
      `(if (i32.eqz ${s.call('getMap', s.text('marks'))}) (then (return (i32.const 7))))`,
    ]);
    const { stdout, stderr } = await runIg(['replay', path, '-o', 'json']);
    expect(eventsOf(stdout)).toMatchObject([{ comm: 'ls' }]);
    expect(stdout).not.toContain('seen');
    expect(stderr).toMatch(
      /^Warning: the gadget's Wasm module failed in gadgetStart: it returned 7; events go on without the module$/m,
    );
  });
});

describe('maps', () => {
  it('of the gadget are there from gadgetStart on, those of perf buffers are not', async () => {
    const s = new Script();
    const [key, value, short] = [s.buffer(4), s.buffer(4), s.buffer(2)];
    const nine = s.text('\x09\0\0\0');
    const object = await ObjectSpec.open(ebpf, 'peer_wasm').load();
    try {
      const maps = object.maps.map((map) => ({
        ...{ name: map.name, type: map.type, keySize: map.keySize, valueSize: map.valueSize },
        ...{ maxEntries: map.maxEntries, fd: map.fd },
      }));
      const { processor, notes, read } = await s.run(
        {
          init: [s.note('getMap', s.text('marks'))],
          start: [
            s.set('marks', 'getMap', s.text('marks')),
            s.note('getMap', s.text('nothing')),
            s.note('getMap', s.text('perf')),
            s.note('newPerfReader', s.get('marks'), 4096, 0),
            s.note('perfReaderRead', 1, key),
            s.note('mapLookup', s.get('marks'), key, value), // nothing there
            s.note('mapDelete', s.get('marks'), key),
            s.note('mapUpdate', s.get('marks'), key, nine, 2n), // BPF_EXIST
            s.note('mapUpdate', s.get('marks'), key, nine, 1n), // BPF_NOEXIST
            s.note('mapUpdate', s.get('marks'), key, nine, 1n),
            s.note('mapUpdate', s.get('marks'), key, nine, 5n),
            s.note('mapUpdate', s.get('marks'), short, nine, 0n),
            s.note('mapUpdate', s.get('marks'), key, short, 0n),
            s.note('mapLookup', s.get('marks'), key, short),
            s.note('mapLookup', s.get('marks'), short, value),
            s.note('mapLookup', 99, key, value),
            s.note('mapLookup', s.get('marks'), key, value),
            s.note('mapRelease', s.get('marks')), // not the module's own
            s.note('mapDelete', s.get('marks'), key),
            s.note('mapDelete', s.get('marks'), key),
          ],
        },
        [],
        coreServices(maps),
      );
      processor.start();
      expect(notes()).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1]);
      expect(read(value)).toEqual(Buffer.of(9, 0, 0, 0));
      expect(object.map('marks').lookup(new Uint8Array(4))).toBeUndefined();
    } finally {
      object.close();
    }
  });

  it('can be made, of a bounded size and of types without descriptors', async () => {
    const s = new Script();
    const [key, value] = [s.text('abcd'), s.buffer(8)];
    const { notes, read } = await s.run(
      {
        init: [
          s.set('made', 'newMap', s.text('made'), 1, 4, 8, 10),
          s.note('mapUpdate', s.get('made'), key, s.text('12345678'), 0n),
          s.note('mapLookup', s.get('made'), key, value),
          s.note('mapRelease', s.get('made')),
          s.note('mapRelease', s.get('made')),
          s.note('newMap', s.text('x'), 3, 4, 4, 10), // of programs
          s.note('newMap', s.text('x'), 4, 4, 4, 10), // of perf buffers
          s.note('newMap', s.text('x'), 1, 4, 4, -1),
          s.note('newMap', s.text('x'), 1, 0, 4, 10), // the kernel refuses
          s.note('newMap', s.text('a b'), 1, 4, 4, 10),
        ],
      },
      [],
      coreServices([]),
    );
    expect(notes()).toEqual([0, 0, 0, 1, 0, 0, 0, 0, 0]);
    expect(read(value).toString()).toBe('12345678');
  });

  it('in a map are updated by their handles, and not looked up', async () => {
    const s = new Script();
    const inner = s.buffer(4);
    const outer = BpfMap.create({ name: 'inner', type: 'hash', keySize: 4, valueSize: 4, maxEntries: 1 });
    const updated: Uint8Array[] = [];
    const { notes, processor } = await s.run(
      {
        start: [
          s.set('outer', 'getMap', s.text('outer')),
          s.set('made', 'newMap', s.text('made'), 1, 4, 4, 1),
          s.note('mapUpdate', s.get('outer'), s.text('abcd'), inner, 0n), // no handle yet
          `(i32.store (i32.const ${inner & 0xffff_ffffn}) ${s.get('made')})`,
          s.note('mapUpdate', s.get('outer'), s.text('abcd'), inner, 0n),
          s.note('mapLookup', s.get('outer'), s.text('abcd'), inner),
        ],
      },
      [],
      {
        // The addon makes no maps of maps, so this one only looks like it.
        map: () => ({
          type: 'hash_of_maps',
          keySize: 4,
          lookupSize: 4,
          fd: -1,
          lookupInto: () => true,
          update: (_key, value) => void updated.push(value.slice()),
          delete: () => true,
          close: () => undefined,
        }),
        createMap: () => outer,
      },
    );
    processor.start();
    expect(notes()).toEqual([1, 0, 1]);
    expect(updated).toEqual([new Uint8Array(Uint32Array.of(outer.fd).buffer)]);
    outer.close();
  });
});
