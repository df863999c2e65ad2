// Says of every exec in words what the kernel side says in bytes: arguments, command line, error.

import { Source, fail, onInit, param } from 'ig';
import { errnoName } from './errno';
import { areNames } from './names';
import { writeQuoted } from './quote';

const SPACE: u8 = 0x20;

const exec = new Source('exec');
const argv = exec.list('argv');
const filename = exec.text('filename');
const errorRaw = exec.u32('error_raw');

/** The arguments as a shell wants them: pasted into bash they give the same vector. */
const args = exec.addText('args');
/** What was executed and its arguments, as they are, between spaces. */
const command = exec.addText('command');
const error = exec.addText('error');
const ret = exec.addS32('ret');

onInit(() => {
  if (!areNames(param('env')))
    fail('--env takes names of variables with commas between them, such as PATH,LD_PRELOAD');
});

exec.onEvent(() => {
  const number = errorRaw.value;
  ret.value = -(<i32>number);
  if (error.wanted) writeError(number);
  if (args.wanted) writeQuoted(args, argv.read());
  if (command.wanted) writeCommand();
  return true;
});

function writeError(number: u32): void {
  const name = errnoName(number);
  error.text(name);
  if (number == 0 || name.length != 0) return;
  error.text('error#');
  error.integer(number);
}

function writeCommand(): void {
  const path = filename.read();
  command.bytes(path);
  argv.rewind();
  if (argv.next() && path.size == 0) command.bytes(argv.current);
  const rest = argv.rest();
  if (rest.size == 0) return;
  command.byte(SPACE);
  command.join(rest, SPACE);
}
