// Gives events the hashes of the files they are about: asks for them, and has the events wait for the answer.

import { type Batch, Span } from '../data/batch.js';
import type { DataSource } from '../data/data-source.js';
import { type Field, type Locator, locatorOf } from '../data/field.js';
import { isFixed, widthOf } from '../data/kind.js';
import { TARGET } from '../hashing/annotations.js';
import type { FileToHash, HashFailure } from '../hashing/file.js';
import { Text } from '../operators/text.js';
import { PipelineError } from './errors.js';
import { type FileKey, type HashTable, type KnownFile, identityOf } from './hash-table.js';
import { HoldQueue } from './hold.js';

/** What a data source's hashes need of its worker. */
export interface HashWork {
  readonly table: HashTable;
  /** Has a file hashed that a process of that mount namespace executed; the table gets the answer. */
  readonly ask: (file: FileToHash, mntns: number) => void;
}

/** What an event waits for. */
interface Waiting {
  readonly mntns: number;
  readonly file: KnownFile | undefined;
}

export class FileHashes {
  private readonly work: HashWork;
  private readonly files: FileReader;
  private held = new HoldQueue<Waiting>();
  /** Mount namespaces whose events wait. */
  private waiting = new Set<number>();

  /**
   * Adds the field that annotations ask for, if any do. Returns what gives it values, if `work` can be done. Throws
   * PipelineError for annotations that name what is not there.
   */
  static of(source: DataSource, work: HashWork | undefined): FileHashes | undefined {
    const path = source.fields.find(({ annotations }) => annotations[TARGET] !== undefined);
    const target = path?.annotations[TARGET];
    if (path === undefined || target === undefined || source.field(target) !== undefined) return undefined;
    const files = new FileReader(source, path);
    const hashes = work === undefined ? undefined : new FileHashes(files, work);
    const locate: Locator = (batch, row, span) => hashes?.locate(batch, row, span) ?? false;
    source.addField({
      fullName: target,
      kind: 'string',
      order: path.order + 1,
      hidden: true,
      location: { in: 'derived', locate, from: path },
    });
    return hashes;
  }

  private constructor(files: FileReader, work: HashWork) {
    this.files = files;
    this.work = work;
  }

  get holding(): boolean {
    return this.held.size > 0;
  }

  /** The fields that tell which file an event is about. */
  get reads(): readonly Field[] {
    return this.files.reads;
  }

  /** Takes over the events that wait in those of another chain. */
  adopt(other: FileHashes): void {
    this.held = other.held;
    this.waiting = other.waiting;
  }

  /** Asks for the hash of record `row`'s file, unless it is known: the sooner, the likelier the file is still there. */
  ask(batch: Batch, row: number, nowMs: number): KnownFile | undefined {
    const { files, work } = this;
    const key = files.keyOf(batch, row);
    if (key === undefined) return undefined;
    const known = work.table.find(key);
    if (known !== undefined && !isWorthAnotherTry(known, nowMs)) return known;
    const file = work.table.add(key, nowMs);
    if (file !== undefined) work.ask(files.describe(batch, row, key), files.mntnsOf(batch, row));
    return file;
  }

  /**
   * Takes records away that have to wait: for the hash of their file, or behind one of their mount namespace that
   * waits. Returns how many.
   */
  hold(batch: Batch, nowMs: number): number {
    let apart = 0;
    for (let row = 0; row < batch.count; row++) {
      if (batch.keep[row] === 0) continue;
      const file = this.ask(batch, row, nowMs);
      const isPending = file !== undefined && file.outcome === undefined;
      if (!isPending && this.waiting.size === 0) continue;
      const mntns = this.files.mntnsOf(batch, row);
      if (!isPending && !this.waiting.has(mntns)) continue;
      // Without room it goes on, with its hash if it is known.
      if (!this.held.add(batch, row, { mntns, file }, nowMs)) continue;
      this.waiting.add(mntns);
      batch.keep[row] = 0;
      apart++;
    }
    return apart;
  }

  /** The records that wait no longer, or have waited for too long; undefined when there are none. */
  release(nowMs: number): Batch | undefined {
    if (this.held.size === 0) return undefined;
    const blocked = new Set<number>();
    const batch = this.held.release(({ mntns, file }) => {
      const waits = blocked.has(mntns) || (file !== undefined && file.outcome === undefined);
      if (waits) blocked.add(mntns);
      return !waits;
    }, nowMs);
    this.waiting = blocked;
    return batch;
  }

  /** Why record `row` has no hash; undefined when it has one, or is about no file. */
  failureOf(batch: Batch, row: number): HashFailure | undefined {
    const key = this.files.keyOf(batch, row);
    if (key === undefined) return undefined;
    const outcome = this.work.table.find(key)?.outcome ?? 'busy';
    return outcome instanceof Text ? undefined : outcome;
  }

  private locate(batch: Batch, row: number, span: Span): boolean {
    const key = this.files.keyOf(batch, row);
    const outcome = key === undefined ? undefined : this.work.table.find(key)?.outcome;
    if (!(outcome instanceof Text)) return false;
    outcome.put(span);
    return true;
  }
}

/** What failed before may succeed for another process; that a file is too large will not change. */
function isWorthAnotherTry({ outcome, validUntilMs }: KnownFile, nowMs: number): boolean {
  return outcome === 'gone' || outcome === 'busy' || (outcome !== undefined && nowMs >= validUntilMs);
}

const NUMBERS = { major: 4, minor: 4, inode: 8, ctime: 8 } as const;

/** Reads from records which files they are about. */
class FileReader {
  readonly reads: readonly Field[];
  private readonly numbers: Readonly<Record<keyof typeof NUMBERS, Locator>>;
  private readonly locatePath: Locator;
  private readonly locatePid: Locator;
  private readonly locateParentPid: Locator;
  private readonly locateMntns: Locator;
  private readonly span = new Span();
  private readonly key: FileKey = {
    major: 0,
    minor: 0,
    inodeLow: 0,
    inodeHigh: 0,
    ctimeLow: 0,
    ctimeHigh: 0,
  };

  /** Throws PipelineError for annotations of `path` that name what is not there. */
  constructor(source: DataSource, path: Field) {
    const reads: Field[] = [];
    const locatorOfRead = (field: Field | undefined): Locator => {
      if (field === undefined) return () => false;
      reads.push(field);
      return locatorOf(field);
    };
    const named = (what: keyof typeof NUMBERS): Locator => locatorOfRead(numberNamed(source, path, what));
    const tagged = (tag: string, sizeBytes: number): Locator =>
      locatorOfRead(numberTagged(source, tag, sizeBytes));
    this.numbers = {
      major: named('major'),
      minor: named('minor'),
      inode: named('inode'),
      ctime: named('ctime'),
    };
    this.locatePath = locatorOfRead(path);
    this.locatePid = tagged('type:gadget_pid', 4);
    this.locateParentPid = tagged('type:gadget_ppid', 4);
    this.locateMntns = tagged('type:gadget_mntns_id', 8);
    this.reads = reads;
  }

  /** Which file record `row` is about, until the next call; undefined when that is not known. */
  keyOf(batch: Batch, row: number): FileKey | undefined {
    const { key, span, numbers } = this;
    if (!numbers.inode(batch, row, span)) return undefined;
    key.inodeLow = span.view.getUint32(span.start, true);
    key.inodeHigh = span.view.getUint32(span.start + 4, true);
    if (!numbers.ctime(batch, row, span)) return undefined;
    key.ctimeLow = span.view.getUint32(span.start, true);
    key.ctimeHigh = span.view.getUint32(span.start + 4, true);
    if (!numbers.major(batch, row, span)) return undefined;
    key.major = span.view.getUint32(span.start, true);
    if (!numbers.minor(batch, row, span)) return undefined;
    key.minor = span.view.getUint32(span.start, true);
    return key;
  }

  /** The file of that key, for another thread. */
  describe(batch: Batch, row: number, key: FileKey): FileToHash {
    const { span } = this;
    const pids = [this.locatePid, this.locateParentPid].flatMap((locate) =>
      locate(batch, row, span) ? [span.view.getUint32(span.start, true)] : [],
    );
    const path = this.locatePath(batch, row, span)
      ? span.bytes.slice(span.start, span.end)
      : new Uint8Array();
    return { ...identityOf(key), path, pids };
  }

  mntnsOf(batch: Batch, row: number): number {
    return this.locateMntns(batch, row, this.span) ? this.span.view.getUint32(this.span.start, true) : 0;
  }
}

/** The number that the path's annotation `filehash.WHAT` names. */
function numberNamed(source: DataSource, path: Field, what: keyof typeof NUMBERS): Field {
  const name = path.annotations[`filehash.${what}`] ?? '';
  const field = source.field(name);
  if (field !== undefined && isNumberOf(field, NUMBERS[what])) return field;
  throw new PipelineError(
    `gadget.yaml: filehash.${what} of field ${path.fullName} must name a field that is a number of ${NUMBERS[what]} bytes, and not ${name || 'nothing'}`,
  );
}

function isNumberOf({ kind, length }: Field, sizeBytes: number): boolean {
  return isFixed(kind) && length === 1 && widthOf(kind) === sizeBytes;
}

/** The field of that tag, if it is a number of that size. */
function numberTagged(source: DataSource, tag: string, sizeBytes: number): Field | undefined {
  const field = source.fields.find(({ tags }) => tags.includes(tag));
  return field !== undefined && isNumberOf(field, sizeBytes) ? field : undefined;
}
