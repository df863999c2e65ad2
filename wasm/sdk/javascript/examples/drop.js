// Drops the events of commands whose name starts with a prefix. The same as drop.ts: nothing in it needs types.

import { Source, fail, param } from 'ig';

const prefix = param('prefix');
if (prefix === '') fail('parameter prefix is empty: name the commands to leave out');

const exec = new Source('exec');
const comm = exec.text('proc.comm');

exec.onEvent(() => !comm.startsWith(prefix));
