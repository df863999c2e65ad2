// Which pieces of our code have run in this thread: V8's counts by block.

import { Session } from 'node:inspector';

const OURS = new URL('../../dist/', import.meta.url).href;

export class Coverage {
  #session = new Session();
  /** Pieces that have run, as `SCRIPT:START:END`. */
  #reached = new Set();
  /** Every piece V8 ever told of, by function: it leaves out those that ran as often as what is around them. */
  #pieces = new Map();
  #new = [];

  constructor() {
    this.#session.connect();
    this.#post('Profiler.enable');
    this.#post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  get size() {
    return this.#reached.size;
  }

  /** Whether pieces have run since the last call that are new; they stay so until `accept`. */
  hasNew() {
    this.#new = this.#ranIn(this.#countedSinceLast()).filter((piece) => !this.#reached.has(piece));
    return this.#new.length > 0;
  }

  /** What the last `hasNew` saw is not new from now on. */
  accept() {
    for (const piece of this.#new) this.#reached.add(piece);
  }

  /** How often pieces have run since the last call of any of these; what was new of them is not from now on. */
  work() {
    const counted = this.#countedSinceLast();
    for (const piece of this.#ranIn(counted)) this.#reached.add(piece);
    const counts = counted.flatMap(({ functions }) => functions.flatMap(({ ranges }) => ranges));
    return counts.reduce((sum, { count }) => sum + count, 0);
  }

  /** V8 begins to count anew. */
  #countedSinceLast() {
    const { result } = this.#post('Profiler.takePreciseCoverage');
    return result.filter(({ url }) => url.startsWith(OURS));
  }

  #ranIn(counted) {
    return counted.flatMap(({ url, functions }) =>
      functions.flatMap(({ ranges }) => this.#ran(url.slice(OURS.length), ranges)),
    );
  }

  #ran(script, ranges) {
    const key = `${script}:${ranges[0].startOffset}`;
    const pieces = this.#pieces.get(key) ?? new Map();
    this.#pieces.set(key, pieces);
    for (const { startOffset, endOffset } of ranges)
      pieces.set(`${startOffset}:${endOffset}`, [startOffset, endOffset]);
    return [...pieces]
      .filter(([, [start, end]]) => {
        // Ranges come from the outside in: the last around a piece has its count.
        const around = ranges.findLast(
          ({ startOffset, endOffset }) => startOffset <= start && end <= endOffset,
        );
        return around !== undefined && around.count > 0;
      })
      .map(([piece]) => `${script}:${piece}`);
  }

  /** The session is of this thread, so it answers before it returns. */
  #post(method, parameters) {
    let answer;
    this.#session.post(method, parameters, (error, result) => {
      if (error) throw new Error(`${method}: ${error.message}`);
      answer = result;
    });
    return answer;
  }
}
