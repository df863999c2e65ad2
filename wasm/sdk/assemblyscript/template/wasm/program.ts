// Leaves out commands by their name, and adds the directory of the file that was executed.

import { Source, onInit, param } from 'ig';

const SLASH: u8 = 0x2f;

// Once, at the top level: what is read and what is added, by name.
const exec = new Source('exec');
const comm = exec.text('proc.comm');
const filename = exec.text('filename');
const directory = exec.addText('directory');
directory.describe('The directory of the file that was executed');

let hidden = '';

// Once, before the first event.
onInit(() => {
  hidden = param('hide');
});

// For every event; `false` leaves it out.
exec.onEvent(() => {
  if (hidden.length > 0 && comm.read().startsWith(hidden)) return false;

  const path = filename.read(); // a view of the event: nothing is copied
  const slash = path.lastIndexOf(SLASH);
  if (slash >= 0 && directory.wanted) directory.copy(path.start, max(slash, 1)); // of "/sh" it is "/"
  return true;
});
