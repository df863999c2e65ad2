// A filter that only reads the field FIELD, in AssemblyScript.

import { Source } from 'ig';

const exec = new Source('exec');
const field = exec.text('FIELD');

exec.onEvent(() => field.read().size < 4096);
