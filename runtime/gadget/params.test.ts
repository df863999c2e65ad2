import { describe, expect, it } from 'vitest';
import { type Param, type ParamType, checkValue, ebpfParam, encodeValue } from './params.js';

const param = (type: ParamType, sizeBytes: number): Param =>
  ebpfParam('v', type, sizeBytes, new Uint8Array(sizeBytes));

describe('parameters of an eBPF variable', () => {
  it.each<[ParamType, number, string, number[]]>([
    ['uint32', 4, '4294967295', [255, 255, 255, 255]],
    ['int16', 2, '-2', [254, 255]],
    ['uint64', 8, '0x100', [0, 1, 0, 0, 0, 0, 0, 0]],
    ['bool', 1, 'true', [1]],
    ['string', 4, 'ab', [97, 98, 0, 0]],
    ['float32', 4, '1', [0, 0, 128, 63]],
  ])('%s in %i bytes: %s', (type, size, text, bytes) => {
    expect([...encodeValue(param(type, size), text, size)]).toEqual(bytes);
  });

  it('writes addresses with their version behind', () => {
    const ip = param('ip', 20);
    expect([...encodeValue(ip, '10.0.0.1', 20)].slice(0, 17)).toEqual([
      10,
      0,
      0,
      1,
      ...Array<number>(12).fill(0),
      4,
    ]);
    expect([...encodeValue(ip, '2001:db8::1', 20)].slice(0, 17)).toEqual([
      0x20,
      0x01,
      0x0d,
      0xb8,
      ...Array<number>(11).fill(0),
      1,
      6,
    ]);
    expect([...encodeValue(ip, '::ffff:1.2.3.4', 20)].slice(10, 17)).toEqual([255, 255, 1, 2, 3, 4, 6]);
  });

  it.each<[ParamType, number, string, string]>([
    ['uint8', 1, '256', '--v takes a whole number from 0 to 255, not "256"'],
    ['int8', 1, '-129', '--v takes a whole number from -128 to 127, not "-129"'],
    ['uint32', 4, '1.5', '--v takes a whole number, not "1.5"'],
    ['uint32', 4, '', '--v takes a whole number, not ""'],
    ['bool', 1, 'yes', '--v takes true or false, not "yes"'],
    ['string', 4, 'abcd', '--v takes at most 3 bytes, not "abcd"'],
    ['ip', 20, '1.2.3', '--v takes an IP address, not "1.2.3"'],
    ['ip', 20, 'fe80::1.2.3.4%eth0', '--v takes an IP address, not "fe80::1.2.3.4%eth0"'],
    ['float64', 8, 'x', '--v takes a number, not "x"'],
  ])('%s in %i bytes refuses %j', (type, size, text, message) => {
    expect(() => checkValue(param(type, size), text)).toThrow(message);
  });

  it('refuses a value that is not among the possible ones', () => {
    const mode = ebpfParam('mode', 'string', 16, new Uint8Array(16), { possibleValues: ['a', 'b'] });
    expect(() => checkValue(mode, 'c')).toThrow('--mode takes one of a, b, not "c"');
  });

  it('takes key, default and words from the metadata, else from the convention, else from the variable', () => {
    expect(ebpfParam('targ_uid', 'uint32', 4, new Uint8Array(4))).toMatchObject({
      key: 'uid',
      defaultValue: '4294967295',
    });
    expect(ebpfParam('limit', 'int32', 4, Uint8Array.of(7, 0, 0, 0))).toMatchObject({
      key: 'limit',
      defaultValue: '7',
    });
    expect(
      ebpfParam('limit', 'int32', 4, new Uint8Array(4), { key: 'max', defaultValue: '9' }),
    ).toMatchObject({
      key: 'max',
      defaultValue: '9',
    });
  });
});
