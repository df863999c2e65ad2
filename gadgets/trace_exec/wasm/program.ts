// Says of every exec in words what the kernel side says in bytes: arguments, command line, error.

import { Source } from 'ig';
import { errnoName } from './errno';
import { writeQuoted } from './quote';

const SPACE: u8 = 0x20;

const exec = new Source('exec');
const argv = exec.strings('argv');
const filename = exec.bytes('filename');
const errorRaw = exec.u32('error_raw');

/** The arguments as a shell wants them: pasted into bash they give the same vector. */
const args = exec.addText('args');
/** What was executed and its arguments, as they are, between spaces. */
const command = exec.addText('command');
const error = exec.addText('error');
const ret = exec.addS32('ret');

exec.onEvent(() => {
  const number = errorRaw.value;
  ret.value = -(<i32>number);
  if (error.wanted) writeError(number);
  if (args.wanted) writeArgs();
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

function writeArgs(): void {
  args.text('');
  argv.rewind();
  for (let first = true; argv.next(); first = false) {
    if (!first) args.byte(SPACE);
    writeQuoted(args, argv.current, first);
  }
}

function writeCommand(): void {
  const path = filename.read();
  command.bytes(path);
  argv.rewind();
  if (argv.next() && path.size == 0) command.bytes(argv.current);
  while (argv.next()) {
    command.byte(SPACE);
    command.bytes(argv.current);
  }
}
