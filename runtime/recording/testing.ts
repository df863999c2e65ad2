// Makes recordings by hand; only for tests.

import { createHash } from 'node:crypto';
import { closeSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Container } from '../containers/container.js';
import { Batch, OFFSETS_SIZE_BYTES } from '../data/batch.js';
import type { DataSourceSpec, RecordFieldSpec } from '../data/spec.js';
import type { FileIdentity, HashedFile } from '../hashing/file.js';
import type { RecordingHeader } from './format.js';
import { createRecording, endRecording, RecordingWriter } from './writer.js';

export const HOST = 1;
export const WEB_NS = 77;
export const DB_NS = 78;
const RECORD_BYTES = 48;

function field(
  fullName: string,
  kind: RecordFieldSpec['kind'],
  offset: number,
  size: number,
  ...tags: string[]
): RecordFieldSpec {
  const place = kind === 'string' ? 'tail' : 'record';
  return { fullName, kind, place, offset, size, length: 1, tags, annotations: {} };
}

export const SOURCE: DataSourceSpec = {
  name: 'exec',
  type: 'single',
  recordSize: RECORD_BYTES,
  annotations: {},
  fieldAnnotations: { comm: { description: 'Name' } },
  fields: [
    field('mntns', 'uint64', 0, 8, 'type:gadget_mntns_id'),
    field('time_raw', 'uint64', 8, 8, 'type:gadget_timestamp'),
    field('pid', 'uint32', 16, 4, 'type:gadget_pid'),
    field('uid', 'uint32', 20, 4, 'type:gadget_uid'),
    field('comm', 'cstring', 24, 16),
    field('args', 'string', 40, 8),
  ],
};

export interface TestEvent {
  readonly mntns: number;
  readonly bootNs?: number;
  readonly uid?: number;
  readonly comm: string;
  readonly args?: string;
}

/** A batch of {@link SOURCE} as the kernel's ring would fill it. */
export function batchOf(...events: readonly TestEvent[]): Batch {
  const batch = new Batch(4096);
  let at = OFFSETS_SIZE_BYTES;
  events.forEach(({ mntns, bootNs = 1000, uid = 0, comm, args = '' }, row) => {
    batch.offsets[row] = at;
    batch.view.setBigUint64(at, BigInt(mntns), true);
    batch.view.setBigUint64(at + 8, BigInt(bootNs), true);
    batch.view.setUint32(at + 16, row, true);
    batch.view.setUint32(at + 20, uid, true);
    batch.bytes.set(Buffer.from(comm), at + 24);
    batch.view.setUint32(at + 40, RECORD_BYTES, true);
    batch.view.setUint32(at + 44, args.length, true);
    batch.bytes.set(Buffer.from(args), at + RECORD_BYTES);
    at += RECORD_BYTES + Math.ceil(args.length / 8) * 8;
  });
  batch.offsets[events.length] = at;
  batch.reset(events.length);
  return batch;
}

export function container(name: string, mntns: number): Container {
  const nothing = { imageName: '', imageDigest: '', imageId: '', startedAt: '', bundle: '' };
  return { key: name, id: name, name, runtime: 'docker', pid: 1, mntns, ...nothing };
}

export const HEADER: RecordingHeader = {
  ig: '0.1.0',
  gadget: 'trace_exec',
  description: 'Trace new processes',
  image: 'sha256:00',
  sources: [SOURCE],
  bootToEpochNs: 1_700_000_000_123_456_789n,
  naming: { filtering: false, hostMntns: HOST },
};

export const MODULE = Buffer.from('not really Wasm');

/** {@link HEADER} of a gadget with {@link MODULE}. */
export const HEADER_WITH_MODULE: RecordingHeader = {
  ...HEADER,
  hashing: true,
  wasm: { digest: createHash('sha256').update(MODULE).digest('hex'), params: [['paths', 'true']] },
};

export function temporaryFile(): string {
  const directory = mkdtempSync(join(tmpdir(), 'ig-recording-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, 'recording');
}

export interface RecordOptions {
  readonly header?: RecordingHeader;
  readonly module?: Uint8Array;
  readonly end?: boolean;
  /** Where; a file of its own if left out. */
  readonly at?: string;
}

/** Records what `write` does, with an end unless told otherwise; returns the file. */
export function record(
  write: (writer: RecordingWriter) => void,
  { header = HEADER, module, end = true, at }: RecordOptions = {},
): string {
  const path = at ?? temporaryFile();
  const fd = createRecording(path, header, module);
  const unexpected = (reason: string): never => {
    throw new Error(reason);
  };
  write(new RecordingWriter(fd, { recorded: () => undefined, failed: unexpected }));
  if (end) endRecording(fd, { losses: new Map([['ring buffer full', 3]]) });
  closeSync(fd);
  return path;
}

/** A recording with everything that one can hold. */
export function recordAll(): string {
  return record(
    (writer) => {
      writer.start([
        { kind: 'notContainer', mntns: HOST, sinceBootNs: 0, selected: true },
        { kind: 'add', index: 0, mntns: WEB_NS, sinceBootNs: 0, selected: true, container: WEB },
      ]);
      writer.names('users', new Map([[0, 'root']]));
      for (const file of HASHED) writer.hashed(file);
      writer.batch(
        0,
        batchOf({ mntns: WEB_NS, comm: 'sh', args: '-c true' }, { mntns: HOST, comm: 'ls' }),
        10.5,
      );
      writer.batch(0, batchOf({ mntns: DB_NS, comm: 'db', uid: 7 }), 20);
      const db = container('db', DB_NS);
      writer.change({ kind: 'add', index: 1, mntns: DB_NS, sinceBootNs: 1, selected: true, container: db });
      writer.release(0, 30);
      writer.change({ kind: 'leave', index: 0, untilBootNs: 5000 });
      writer.change({ kind: 'unknown', mntns: WEB_NS, sinceBootNs: 5000 });
      writer.change({ kind: 'remove', index: 0 });
      writer.names('groups', new Map([[0, 'wheel']]));
      writer.batch(0, batchOf({ mntns: DB_NS, comm: 'db', args: 'second' }), 40);
    },
    { header: HEADER_WITH_MODULE, module: MODULE },
  );
}

const FILE: FileIdentity = { major: 254, minor: 3, inode: 2n ** 63n, ctimeNs: 1_795_456_656_582_086_822n };
export const HASHED: readonly HashedFile[] = [
  { ...FILE, sha256: 'ab'.repeat(32) },
  { ...FILE, minor: 4, failure: 'tooLarge' },
];

export const WEB: Container = {
  ...container('web', WEB_NS),
  cgroupId: 2 ** 40,
  pod: {
    ...{ namespace: 'shop', podName: 'web-0', podUid: 'u', containerName: 'web', sandboxId: '' },
    ...{ labels: { app: 'web' }, hostNetwork: false, ownerKind: 'Deployment', ownerName: 'web' },
  },
  accounts: { users: new Map([[0, 'boss']]), groups: new Map([[7, 'staff']]) },
};
