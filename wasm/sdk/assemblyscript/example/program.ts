// Example: keeps slow requests, and says which command made them.

import { Source, fail, onInit, param } from 'ig';

// Declared once, by name; found before the first event. A name the gadget lacks stops it with a clear message.
const requests = new Source('requests');
const latencyNs = requests.u64('latency_ns');
const comm = requests.bytes('comm');
const argv = requests.strings('argv');
const latencyMs = requests.addU32('latency_ms');
const summary = requests.addText('summary');

let thresholdNs: u64 = 0;

onInit(() => {
  const text = param('threshold-ms');
  const threshold = I64.parseInt(text);
  if (threshold < 0) fail(`parameter threshold-ms is ${text}, but must be a number of milliseconds from 0`);
  thresholdNs = <u64>threshold * 1_000_000;
});

requests.onEvent(() => {
  if (latencyNs.value < thresholdNs) return false; // drops the event

  latencyMs.value = <u32>(latencyNs.value / 1_000_000);
  if (summary.wanted) {
    summary.bytes(comm.read());
    for (argv.rewind(); argv.next(); ) {
      summary.byte(0x20);
      summary.bytes(argv.current);
    }
  }
  return true;
});
