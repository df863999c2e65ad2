// The Wasm module of the synthetic gadget, in AssemblyScript: reads two fields, adds a number and a text.

import { Source } from 'ig';

const feed = new Source('feed');
const number = feed.u64('number');
const comm = feed.text('comm');
const kibibytes = feed.addU32('kibibytes');
const label = feed.addText('label');

feed.onEvent(() => {
  kibibytes.value = <u32>number.value;
  if (label.wanted) label.bytes(comm.read());
  return true;
});
