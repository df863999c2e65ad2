// The folder of a gadget's sources: finds files in it, and reads nothing outside.

import { type Stats, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, isAbsolute, join, relative, sep } from 'node:path';
import { BuildError } from './errors.js';

/** No source or prebuilt part is larger. */
const MAX_FILE_BYTES = 100 * 1024 * 1024;

export class GadgetFolder {
  /** As the user wrote it, for messages. */
  readonly path: string;
  /** Absolute, without links. */
  readonly root: string;

  /** Throws BuildError when there is no such folder. */
  constructor(path: string) {
    this.path = path;
    try {
      this.root = realpathSync(path);
    } catch (cause) {
      throw new BuildError(`there is no folder ${path} to build a gadget from`, { cause });
    }
    if (!statSync(this.root).isDirectory()) {
      throw new BuildError(`${path} is not a folder; give the one that holds the gadget's sources`);
    }
  }

  /** What the gadget is called unless something says otherwise. */
  get name(): string {
    return basename(this.root);
  }

  /** A file's path as the user would write it. */
  pathOf(file: string): string {
    return join(this.path, file);
  }

  /**
   * The absolute path of a file, all links followed, or undefined when there is none.
   * Throws BuildError when it lies outside the folder, or is not a file.
   */
  find(file: string): string | undefined {
    const path = this.#inside(file);
    return path === undefined || !this.#stat(path, file).isFile() ? undefined : path;
  }

  /** The same, but throws BuildError when there is none. `what` says what should be there. */
  need(file: string, what: string): string {
    const path = this.find(file);
    if (path === undefined) throw new BuildError(`there is no ${what} ${this.pathOf(file)}`);
    return path;
  }

  /** A file's bytes. Throws BuildError. */
  read(file: string, what: string): Uint8Array {
    const path = this.need(file, what);
    if (this.#stat(path, file).size > MAX_FILE_BYTES) {
      throw new BuildError(`${this.pathOf(file)} is larger than ${MAX_FILE_BYTES} bytes`);
    }
    try {
      return readFileSync(path);
    } catch (cause) {
      throw new BuildError(`cannot read ${this.pathOf(file)}: ${(cause as Error).message}`, { cause });
    }
  }

  #inside(file: string): string | undefined {
    const outside = (where: string): BuildError =>
      new BuildError(`${file} lies outside the gadget's folder ${this.path}${where}; keep its sources in it`);
    if (isAbsolute(file) || leaves(relative(this.root, join(this.root, file)))) throw outside('');
    let path: string;
    try {
      path = realpathSync(join(this.root, file));
    } catch {
      return undefined;
    }
    if (leaves(relative(this.root, path))) throw outside(`, in ${path}`);
    return path;
  }

  #stat(path: string, file: string): Stats {
    const found = statSync(path);
    if (!found.isFile() && !found.isDirectory()) {
      throw new BuildError(`${this.pathOf(file)} is neither a file nor a folder`);
    }
    return found;
  }
}

function leaves(path: string): boolean {
  return path === '..' || path.startsWith(`..${sep}`) || isAbsolute(path);
}
