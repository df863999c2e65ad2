import { describe, expect, it } from 'vitest';
import { ByteWriter } from '../output/byte-writer.js';
import { Control } from './control.js';
import { Sink, type SinkPort } from './sink.js';

const ROW = Buffer.from('12345678\n');

function rows(writer: ByteWriter, count: number): void {
  for (let row = 0; row < count; row++) {
    for (const byte of ROW) writer.byte(byte);
    writer.endRow();
  }
}

/** A pipe with room for so many bytes, whose reader goes when it is full if `closes`, having left some unread. */
class Pipe implements SinkPort {
  written = 0;
  private readonly room: number;
  private readonly closes: { readonly unread: number } | undefined;

  constructor(room: number, closes?: { readonly unread: number }) {
    this.room = room;
    this.closes = closes;
  }

  readonly write: SinkPort['write'] = (_fd, _bytes, start, end) => {
    const count = Math.min(end - start, this.room - this.written);
    if (count === 0 && this.closes !== undefined) throw Object.assign(new Error('gone'), { code: 'EPIPE' });
    this.written += count;
    return count;
  };

  readonly unread = (): number => this.closes?.unread ?? 0;
}

function flushed(pipe: Pipe, ...batches: readonly number[]): Pick<Sink, 'closed'> & { counts: number[] } {
  const control = new Control();
  control.stop();
  const sink = new Sink(1, control, pipe);
  const writer = new ByteWriter();
  for (const count of batches) {
    rows(writer, count);
    sink.flush(writer, count);
    expect(writer.position).toBe(0);
  }
  const { delivered, lostOutput } = control.counts();
  return { closed: sink.closed, counts: [delivered, lostOutput] };
}

describe('what the reader of the output has', () => {
  it('is all, as long as it reads', () => {
    expect(flushed(new Pipe(1e6), 3, 4)).toEqual({ closed: false, counts: [7, 0] });
  });

  it('is the rows that were written to their end, when it stops reading and the run is to end', () => {
    expect(flushed(new Pipe(5 * ROW.length), 3, 4, 5)).toEqual({ closed: false, counts: [5, 7] });
    expect(flushed(new Pipe(5 * ROW.length - 1), 3, 4, 5)).toEqual({ closed: false, counts: [4, 8] });
  });

  it('is what it has read of them, when it goes', () => {
    const all = 7 * ROW.length;
    expect(flushed(new Pipe(all, { unread: 0 }), 3, 4, 5)).toEqual({ closed: true, counts: [7, 5] });
    expect(flushed(new Pipe(all, { unread: 1 }), 3, 4, 5)).toEqual({ closed: true, counts: [6, 6] });
    expect(flushed(new Pipe(all, { unread: all - ROW.length }), 3, 4, 5).counts).toEqual([1, 11]);
    expect(flushed(new Pipe(all, { unread: all }), 3, 4, 5).counts).toEqual([0, 12]);
  });

  it('is known of more rows at once than are usually kept', () => {
    expect(flushed(new Pipe(40_000 * ROW.length), 30_000, 30_000).counts).toEqual([40_000, 20_000]);
  });
});

describe('the middle of a line', () => {
  it('is where the reader has the beginning of a row, until it takes the rest', () => {
    const control = new Control();
    const middles: boolean[] = [];
    const takes = [5, 4, 1];
    const write: SinkPort['write'] = (_fd, _bytes, start, end) => {
      middles.push(control.isMidLine);
      return takes.shift() ?? end - start;
    };
    const writer = new ByteWriter();
    rows(writer, 2);
    // No descriptor, so no terminal.
    new Sink(-1, control, { write, unread: () => 0 }).flush(writer, 2);
    // Asked before each write: nothing yet, `12345`, `12345678\n`, that and `1`.
    expect(middles).toEqual([false, true, false, true]);
    expect(control.isMidLine).toBe(false);
  });
});
