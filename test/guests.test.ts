// The results of tests on other kernels, in guests that have run beside all other tests; see guests.ts.

import { readFileSync } from 'node:fs';
import { describe, inject, it } from 'vitest';
import { type GuestReport, KERNELS } from './guests.js';
import { until } from './until.js';

/** For guests that are not done yet when everything else is. */
const LIMIT_MS = 300_000;
const LATE = `this machine had too little time for it: ${LIMIT_MS / 60_000} minutes after all other tests it still ran`;

const { report, log } = inject('guests');
const read = (): GuestReport => JSON.parse(readFileSync(report, 'utf8')) as GuestReport;
await until(() => read().complete, 'the guests', LIMIT_MS).catch(() => undefined);
const { guests, complete } = read();

for (const kernel of KERNELS) {
  const guest = guests.find(({ name }) => name === kernel);
  const isMissing = guest === undefined || guest.running === true;
  describe(`on ${kernel} (${guest?.release || 'no kernel'})`, () => {
    it('tests run to their end', ({ skip }) => {
      if (guest?.skipped !== undefined) skip(guest.skipped);
      if (guest?.failure !== undefined) throw new Error(`${guest.failure}\nsee ${log}`);
      if (isMissing && complete) throw new Error(`it ended before its tests; see ${log}`);
      if (isMissing) skip(LATE);
    });
    for (const { file, group, name, state, note } of guest?.results ?? [])
      it(`${file} > ${group} > ${name}`, ({ skip }) => {
        if (state === 'skipped') skip(note);
        if (state !== 'passed') throw new Error(`${note}\nsee ${log}`);
      });
  });
}
