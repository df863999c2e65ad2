import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { Control } from '../pipeline/control.js';
import type { Account } from '../session.js';
import { summaryMode, summaryOf, summaryText } from './summary.js';

const ACCOUNT: Account = {
  counts: { ...new Control().counts(), read: 14, delivered: 9, filtered: 2, lostGuest: 3 },
  made: 1,
  seconds: 1.23456,
  kernelLosses: new Map([
    ['ring buffer full', 4],
    ['held back by --fair', 5],
  ]),
  passedOver: new Map([['ig_sys_exit', 7]]),
  unnoticed: 8,
  heldBack: [
    { who: 'container web', count: 3 },
    { who: undefined, count: 2 },
  ],
  unhashed: { gone: 1, tooLarge: 2, busy: 3 },
};
const FACTS = { gadget: 'trace_exec', image: 'sha256:0' };
const EXPECTED = {
  gadget: 'trace_exec',
  image: 'sha256:0',
  seconds: 1.235,
  emitted: 23,
  made_by_wasm: 1,
  read: 14,
  delivered: 9,
  filtered: 2,
  lost: {
    total: 12,
    ring_buffer_full: 4,
    held_back_by_fair: 5,
    wasm_module_failed: 3,
    container_not_known_in_time: 0,
    left_over_at_the_end: 0,
    output_not_read: 0,
    record_too_large: 0,
  },
  held_back: [
    { who: 'container web', events: 3 },
    { who: null, events: 2 },
  ],
  passed_over: { ig_sys_exit: 7 },
  unnoticed_namespaces: 8,
  unhashed: { gone: 1, too_large: 2, busy: 3 },
  unrecorded: 0,
};

describe('the summary', () => {
  it('adds up, and names each cause', () => {
    expect(summaryOf(ACCOUNT, FACTS)).toEqual(EXPECTED);
  });

  it('is a record as the mode writes them, that no event can be', async () => {
    const summary = summaryOf(ACCOUNT, FACTS);
    const json = await summaryText('json', summary);
    expect(json).toMatch(/^\{"ig\.summary":[^\n]*\n$/);
    expect(JSON.parse(json)).toEqual({ 'ig.summary': EXPECTED });
    const pretty = await summaryText('jsonpretty', summary);
    expect(pretty).toMatch(/^\{\n {2}"ig\.summary": \{\n/);
    expect(JSON.parse(pretty)).toEqual({ 'ig.summary': EXPECTED });
    const yaml = `---\ncomm: x\n${await summaryText('yaml', summary)}`;
    const documents = parseAllDocuments(yaml).map((document) => document.toJS() as unknown);
    expect(documents).toEqual([{ comm: 'x' }, { 'ig.summary': EXPECTED }]);
  });

  it.each([
    ['json', 'json'],
    ['exec:none,exit:yaml', 'yaml'],
    ['jsonpretty,exit:none', 'jsonpretty'],
  ])('of %s is %s', (output, mode) => {
    expect(summaryMode(output)).toBe(mode);
  });

  it.each(['columns', 'columns=comm', 'none'])('is none of %s', (output) => {
    expect(() => summaryMode(output)).toThrow(/^--summary ends an output of json, jsonpretty, yaml/);
  });
});
