import { describe, expect, it } from 'vitest';
import { ByteWriter, constant } from './byte-writer.js';

function text(write: (writer: ByteWriter) => void): string {
  const writer = new ByteWriter(1);
  write(writer);
  return Buffer.from(writer.written).toString();
}

const halves = (value: bigint): [number, number] => [
  Number(BigInt.asUintN(32, value)),
  Number(BigInt.asUintN(32, value >> 32n)),
];

describe('ByteWriter', () => {
  it('grows and keeps what was written', () => {
    expect(text((w) => ['a', 'bcdefg', 'é', '', '12345678'].forEach((piece) => w.raw(constant(piece))))).toBe(
      'abcdefgé12345678',
    );
  });

  it('writes constants of any characters unchanged', () => {
    for (let before = 0; before < 8; before++) {
      const piece = `${'a'.repeat(before)}\u{10ffff}\u007f\u{ffff}\u007fé\u0000\u007f`;
      expect(text((w) => w.raw(constant(piece)))).toBe(piece);
    }
  });

  it('writes 32-bit numbers of every length', () => {
    for (const value of [0, 9, 10, 99, 100, 4_294_967_295, 2_147_483_648, ...powersOfTen(10)]) {
      expect(text((w) => w.uint32(value))).toBe(String(value));
    }
    for (const value of [-1, -2_147_483_648, 2_147_483_647]) {
      expect(text((w) => w.int32(value))).toBe(String(value));
    }
  });

  it('writes 64-bit numbers exactly', () => {
    const edges = [
      0n,
      1n,
      2n ** 32n,
      2n ** 53n + 1n,
      2n ** 63n,
      2n ** 64n - 1n,
      10n ** 18n,
      10n ** 19n,
      10n ** 9n,
    ];
    const random = Array.from({ length: 2000 }, (_, i) =>
      BigInt.asUintN(64, 0x9e37_79b9_7f4a_7c15n * BigInt(i + 1)),
    );
    const billions = random.map((value) => value - (value % 10n ** 9n));
    const shifted = random.map((value, i) => value >> BigInt(i % 64));
    for (const value of [
      ...edges,
      ...edges.map((edge) => BigInt.asUintN(64, edge - 1n)),
      ...random,
      ...billions,
      ...billions.map((value) => value - 1n),
      ...shifted,
    ]) {
      expect(text((w) => w.uint64(...halves(value)))).toBe(String(value));
      expect(text((w) => w.int64(...halves(value)))).toBe(String(BigInt.asIntN(64, value)));
    }
  });

  it('writes bytes as hexadecimal digits', () => {
    expect(text((w) => w.hex(Uint8Array.of(0, 0xab, 0xff, 7), 1, 4))).toBe('abff07');
  });
});

function powersOfTen(count: number): number[] {
  return Array.from({ length: count }, (_, i) => 10 ** i).flatMap((power) => [power, power - 1]);
}
