// Leaves out commands by their name, and adds the directory of the file that was executed.

import { Source, param } from 'ig';

// Once, before the first event: what is read and what is added, by name.
const exec = new Source('exec');
const comm = exec.text('proc.comm');
const filename = exec.text('filename');
const directory = exec.addText('directory', { description: 'The directory of the file that was executed' });

const hidden = param('hide');

// For every event; `false` leaves it out.
exec.onEvent(() => {
  if (hidden !== '' && comm.startsWith(hidden)) return false;

  const path = filename.text;
  const slash = path.lastIndexOf('/');
  if (slash >= 0) directory.value = slash === 0 ? '/' : path.slice(0, slash);
  return true;
});
