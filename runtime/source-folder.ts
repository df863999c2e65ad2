// Tells folders to build from images by their names.

import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Whether `name` means a folder to build from, not an image: a path that says it is one, by `./`, `../` or `/` in front
 * or a `/` at its end. Words without are names of images, whatever lies in the directory where somebody runs them.
 */
export function isSourceFolder(name: string): boolean {
  const isPath = /^(?:\.{0,2}\/|\.{1,2}$)/.test(name) || name.endsWith('/');
  return isPath && isFolder(name) && !existsSync(join(name, 'oci-layout'));
}

/** Tells who gave the name of a folder, and got no image of that name, first of all how to name the folder. */
export function withFolderHint(error: unknown, name: string): unknown {
  if (error instanceof Error && /^\w/.test(name) && isFolder(name)) {
    error.message = `${name} names an image, not the folder here, which ./${name} builds; but ${error.message}`;
  }
  return error;
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
