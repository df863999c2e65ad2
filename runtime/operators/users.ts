// Operator `users`: beside user and group ids it puts the names that this machine's files give them, and containers'.

import { readFileSync, statSync } from 'node:fs';
import type { Batch } from '../data/batch.js';
import type { DataSource } from '../data/data-source.js';
import { type Field, type Locator, locatorOf, numberReaderOf } from '../data/field.js';
import { TextTable } from './text.js';

export interface UserFiles {
  /** Default /etc/passwd. */
  readonly passwdPath?: string;
  /** Default /etc/group. */
  readonly groupPath?: string;
  /** Told the names whenever a file has been read. */
  readonly onRead?: (of: 'users' | 'groups', names: ReadonlyMap<number, string>) => void;
  /** Where names are taken from instead: those of the machine that a recording was made on. */
  readonly recorded?: RecordedNames;
}

/** Names that do not come from this machine's files. */
export class RecordedNames {
  version = 0;
  users: ReadonlyMap<number, string> = new Map();
  groups: ReadonlyMap<number, string> = new Map();

  set(of: 'users' | 'groups', names: ReadonlyMap<number, string>): void {
    this[of] = names;
    this.version++;
  }
}

/**
 * What the event's container calls an id; undefined for an event of no container, and when the container has no name
 * for the id. Must not allocate.
 */
export type ContainerNameOf = (batch: Batch, row: number, id: number) => string | undefined;

/** The names that containers' own files give. */
export interface ContainerUsers {
  readonly user: ContainerNameOf;
  readonly group: ContainerNameOf;
}

/** How often files are looked at for changes. */
const CHECK_INTERVAL_MS = 1000;
/** A larger file is no list of users; its names are not read. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;

/** Names by id, from a file of lines `name:password:id:…`. */
class NameFile {
  private readonly of: 'users' | 'groups';
  private readonly files: UserFiles;
  private readonly path: string;
  private readonly prefix: string;
  private version = '';
  private names: ReadonlyMap<number, string> = new Map();
  texts: TextTable;

  constructor(of: 'users' | 'groups', files: UserFiles) {
    this.of = of;
    this.files = files;
    this.path = of === 'users' ? (files.passwdPath ?? '/etc/passwd') : (files.groupPath ?? '/etc/group');
    this.prefix = of === 'users' ? 'uid' : 'gid';
    this.texts = this.newTexts();
  }

  /** Reads the file again if it changed. Without a file, or without the right to read it, ids stay ids. */
  refresh(): void {
    const { recorded, onRead } = this.files;
    const version = recorded === undefined ? this.fileVersion() : String(recorded.version);
    if (version === this.version) return;
    this.version = version;
    if (recorded === undefined) {
      this.names = version === '' ? new Map<number, string>() : readNames(this.path);
      onRead?.(this.of, this.names);
    } else this.names = recorded[this.of];
    this.texts = this.newTexts();
  }

  private fileVersion(): string {
    const stat = statSync(this.path, { throwIfNoEntry: false });
    if (stat === undefined || stat.size > MAX_FILE_BYTES) return '';
    return `${stat.ino} ${stat.mtimeMs} ${stat.size}`;
  }

  nameOf(id: number): string | undefined {
    return this.names.get(id);
  }

  private newTexts(): TextTable {
    return new TextTable((id) => this.names.get(id) ?? `${this.prefix}:${id}`);
  }
}

function readNames(path: string): Map<number, string> {
  try {
    return parseNames(readFileSync(path, 'utf8'));
  } catch {
    // Gone since it was looked at, or not ours to read: names are a convenience, no reason to stop tracing.
    return new Map();
  }
}

function parseNames(text: string): Map<number, string> {
  const names = new Map<number, string>();
  for (const line of text.split('\n')) {
    const [name, , id] = line.split(':');
    if (!name || id === undefined || !/^\d{1,10}$/.test(id)) continue;
    // The first line of an id counts, as it does for getpwuid.
    if (!names.has(Number(id))) names.set(Number(id), name);
  }
  return names;
}

/** Tag of fields whose values come from the event's container. */
export const OF_CONTAINER = 'src:container';

interface IdType {
  readonly tag: string;
  /** How names of ids end, and how those of names do. */
  readonly idSuffix: RegExp;
  readonly nameSuffix: string;
  readonly template: string;
}

const USER: IdType = { tag: 'type:gadget_uid', idSuffix: /uid(_raw)?$/, nameSuffix: 'user', template: 'uid' };
const GROUP: IdType = {
  tag: 'type:gadget_gid',
  idSuffix: /gid(_raw)?$/,
  nameSuffix: 'group',
  template: 'gid',
};

/**
 * Adds `user` beside each `uid` and `group` beside each `gid` (`proc.creds.uid` → `proc.creds.user`,
 * `loginuid` → `loginuser`; annotation `uidgidresolver.target` names it otherwise) and hides the number.
 * Unknown ids show as `uid:N`. With `containers`, it adds beside each of these names that of the event's container,
 * under the same name after `container_` (`proc.creds.container_user`, `container_loginuser`): hidden, and undefined
 * unless the container gives the id a name that is not this machine's.
 * Returns what keeps the names fresh, to be called before each batch; undefined when there are no ids.
 */
export function addUsers(
  source: DataSource,
  files: UserFiles = {},
  containers?: ContainerUsers,
): (() => void) | undefined {
  const users = new NameFile('users', files);
  const groups = new NameFile('groups', files);
  const addedUsers = addNames(source, USER, users, containers?.user);
  const addedGroups = addNames(source, GROUP, groups, containers?.group);
  if (addedUsers + addedGroups === 0) return undefined;
  let checkAtMs = 0;
  return () => {
    const nowMs = Date.now();
    if (nowMs < checkAtMs && files.recorded === undefined) return;
    checkAtMs = nowMs + CHECK_INTERVAL_MS;
    if (addedUsers > 0) users.refresh();
    if (addedGroups > 0) groups.refresh();
  };
}

function addNames(
  source: DataSource,
  type: IdType,
  file: NameFile,
  ofContainer: ContainerNameOf | undefined,
): number {
  let added = 0;
  for (const field of [...source.fields]) {
    if (field.kind !== 'uint32' || field.length !== 1 || !field.tags.includes(type.tag)) continue;
    const name = targetName(field, type);
    const prefix = field.fullName.slice(0, -field.name.length);
    const fullName = prefix + name;
    if (name === field.name || source.field(fullName) !== undefined) continue;
    field.hidden = true;
    added++;
    source.addField({
      fullName,
      kind: 'string',
      location: { in: 'derived', locate: nameLocator(locatorOf(field), file), from: field },
      annotations: {
        description: `Name of ${field.fullName}`,
        template: type.template,
        'columns.alignment': 'left',
        'columns.alias': name,
      },
    });
    if (ofContainer !== undefined)
      addContainerName(source, field, `${prefix}container_${name}`, type, file, ofContainer);
  }
  return added;
}

function addContainerName(
  source: DataSource,
  from: Field,
  fullName: string,
  type: IdType,
  file: NameFile,
  ofContainer: ContainerNameOf,
): void {
  if (source.field(fullName) !== undefined) return;
  source.addField({
    fullName,
    kind: 'string',
    hidden: true,
    tags: [OF_CONTAINER],
    location: { in: 'derived', locate: containerNameLocator(locatorOf(from), file, ofContainer), from },
    annotations: {
      description: `Name of ${from.fullName} in the event’s container, where it is another`,
      template: type.template,
      'columns.alignment': 'left',
      'columns.alias': fullName.slice(fullName.lastIndexOf('.') + 1),
    },
  });
}

function targetName(field: Field, type: IdType): string {
  return field.annotations['uidgidresolver.target'] || field.name.replace(type.idSuffix, type.nameSuffix);
}

const NOBODY = 0xffffffff;

function nameLocator(locate: Locator, file: NameFile): Locator {
  const read = numberReaderOf('uint32');
  return (batch, row, span) => {
    if (!locate(batch, row, span)) return false;
    const id = read(span);
    // (uid_t)-1 stands for nobody: a login user before anyone has logged in.
    if (id === NOBODY) return false;
    file.texts.put(id, span);
    return true;
  };
}

function containerNameLocator(locate: Locator, file: NameFile, ofContainer: ContainerNameOf): Locator {
  const read = numberReaderOf('uint32');
  const texts = new TextTable<string>((name) => name);
  return (batch, row, span) => {
    if (!locate(batch, row, span)) return false;
    const id = read(span);
    const name = ofContainer(batch, row, id);
    if (name === undefined || name === file.nameOf(id)) return false;
    texts.put(name, span);
    return true;
  };
}
