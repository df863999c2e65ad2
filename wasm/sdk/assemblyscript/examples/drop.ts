// Leaves out commands whose name starts with a given text.

import { Source, fail, onInit, param } from 'ig';

const exec = new Source('exec');
const comm = exec.text('proc.comm');

let prefix = '';

onInit(() => {
  prefix = param('prefix');
  if (prefix.length == 0) fail('parameter prefix is empty: name the commands to leave out');
});

exec.onEvent(() => !comm.read().startsWith(prefix));
