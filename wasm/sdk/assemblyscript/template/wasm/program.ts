// Leaves out commands by their name, and adds the directory of the file that was executed.

import { Source, onInit, param } from 'ig';

const SLASH: u8 = 0x2f;

// Once, at the top level: what is read and what is added, by name.
const exec = new Source('exec');
const comm = exec.bytes('proc.comm');
const filename = exec.bytes('filename');
const directory = exec.addText('directory');

let hidden = '';

// Once, before the first event.
onInit(() => {
  hidden = param('hide');
});

// For every event; `false` leaves it out.
exec.onEvent(() => {
  if (hidden.length > 0 && comm.read().startsWith(hidden)) return false;

  const path = filename.read(); // a view of the event: nothing is copied
  let end: u32 = path.size;
  while (end > 0 && path[end - 1] != SLASH) end--;
  if (end > 0 && directory.wanted) directory.copy(path.start, end > 1 ? end - 1 : 1); // without its last slash
  return true;
});
