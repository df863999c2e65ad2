import { describe, expect, it } from 'vitest';
import { eventLine } from './events.js';

const EVENT =
  '{"args":"a, b","n":18446744073709551615,"proc":{"comm":"sh","pid":7},"l":[-9007199254740993,1.5]}';

describe('a line of an event', () => {
  it('has the chosen fields, in their order, as far as it has them', () => {
    expect(eventLine(EVENT, ['proc.pid', 'n', 'runtime.containerName', 'args.x', 'proc.comm'])).toBe(
      '{"proc":{"pid":7,"comm":"sh"},"n":18446744073709551615}',
    );
    expect(eventLine(EVENT, ['proc'])).toBe('{"proc":{"comm":"sh","pid":7}}');
  });

  it('is the same however it is spaced, with every digit of its numbers', () => {
    expect(eventLine(EVENT, undefined)).toBe(EVENT);
    expect(eventLine(EVENT.replaceAll(/([:,{}])/g, '$1 ').replace('a,  b', 'a, b'), undefined)).toBe(EVENT);
  });

  it('keeps texts that look like something else', () => {
    for (const text of [':1234567890123456789,', '\\" 1234567890123456789', '\u0000#1']) {
      const line = JSON.stringify({ text });
      expect(eventLine(line, undefined)).toBe(line);
      expect(eventLine(line, ['text'])).toBe(line);
    }
    const float = '{"f":0.12345678901234567}';
    expect(eventLine(float, undefined)).toBe(JSON.stringify(JSON.parse(float)));
  });

  it('is refused if it is none', () => {
    expect(() => eventLine('{"a":', undefined)).toThrow(SyntaxError);
  });
});
