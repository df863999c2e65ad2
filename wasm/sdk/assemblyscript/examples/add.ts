// Adds the directory of the file given to exec, and how deep it is.

import { Source } from 'ig';

const SLASH: u8 = 0x2f;

const exec = new Source('exec');
const filename = exec.text('filename');
const directory = exec.addText('directory');
directory.describe('Directory of the file given to exec');
const depth = exec.addU32('depth');
depth.describe('Number of slashes in its path');
depth.annotate('columns.width', '5');

exec.onEvent(() => {
  const path = filename.read();
  let slashes: u32 = 0;
  let last: u32 = 0;
  for (let i: u32 = 0; i < path.size; i++) {
    if (path[i] != SLASH) continue;
    slashes++;
    last = i;
  }
  depth.value = slashes;
  // Of `/sh`, the directory is `/`; without a slash there is none.
  if (slashes > 0) directory.copy(path.start, max<u32>(last, 1));
  return true;
});
