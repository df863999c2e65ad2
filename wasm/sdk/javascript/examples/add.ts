// Adds the directory of the file given to exec, and how deep it lies.

import { Source } from 'ig';

const exec = new Source('exec');
const filename = exec.text('filename');
const directory = exec.addText('directory', { description: 'Directory of the file given to exec' });
const depth = exec.addU32('depth', {
  description: 'Number of slashes in its path',
  annotations: { 'columns.width': '5' },
});

exec.onEvent(() => {
  const path = filename.text;
  const slash = path.lastIndexOf('/');
  if (slash >= 0) directory.value = slash === 0 ? '/' : path.slice(0, slash);

  let slashes = 0;
  for (let at = slash; at >= 0; at = at === 0 ? -1 : path.lastIndexOf('/', at - 1)) slashes++;
  depth.value = slashes;
});
