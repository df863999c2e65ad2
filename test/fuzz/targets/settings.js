// What users and administrators write: values of parameters, configuration files and variables.

import { BlockList, isIP } from 'node:net';
import { readConfigFiles } from '../../../dist/runtime/config/config-file.js';
import { ConfigError } from '../../../dist/runtime/config/errors.js';
import { SETTINGS } from '../../../dist/runtime/config/settings.js';
import { parseVariable } from '../../../dist/runtime/config/values.js';
import { ParamError } from '../../../dist/runtime/gadget/errors.js';
import { checkValue, ebpfParam, encodeValue } from '../../../dist/runtime/gadget/params.js';
import { Input } from '../input.js';
import { ensure, ensureSame } from '../oracles.js';
import { scratchFile } from '../scratch.js';

const TYPES = ['bool', 'string', 'ip', 'float32', 'float64'].concat(
  ...[8, 16, 32, 64].map((bits) => [`int${bits}`, `uint${bits}`]),
);
const SIZES = { bool: 1, string: 16, ip: 20, float32: 4, float64: 8 };

/** A value becomes bytes that mean the same. */
function runParam(bytes) {
  const input = new Input(bytes);
  const type = input.choose(TYPES);
  const size = SIZES[type] ?? Number(type.replace(/\D/g, '')) / 8;
  const value = Buffer.from(input.rest()).toString();
  const param = { ...ebpfParam('v', type, size, new Uint8Array(size)), key: 'v' };
  checkValue(param, value);
  const encoded = encodeValue(param, value, size);
  if (type === 'ip') return checkAddress(encoded, value);
  ensureSame(encoded.length, size, 'the size of a value');
  const { defaultValue } = ebpfParam('v', type, size, encoded);
  // A text ends at its first NUL.
  if (type === 'string') ensureSame(defaultValue, withoutMark(value.split('\0')[0]), 'a text');
  else if (type === 'bool') ensureSame(defaultValue, value, 'a truth value');
  else if (type.startsWith('float'))
    ensure(sameFloat(type, defaultValue, value), `${value} became ${defaultValue}`);
  else ensureSame(BigInt(defaultValue), BigInt(value), 'a whole number');
}

function withoutMark(text) {
  return text.replace(/^\ufeff/, '');
}

function sameFloat(type, read, value) {
  const wanted = type === 'float32' ? Math.fround(Number(value)) : Number(value);
  return Object.is(Number(read), wanted) || Number(read) === wanted;
}

function checkAddress(encoded, value) {
  const version = encoded[16];
  ensureSame(version, isIP(value), 'the version of an address');
  if (version === 0) return;
  const list = new BlockList();
  const groups = Array.from({ length: 8 }, (_, i) =>
    ((encoded[2 * i] << 8) | encoded[2 * i + 1]).toString(16),
  );
  const family = `ipv${version}`;
  list.addAddress(version === 4 ? encoded.subarray(0, 4).join('.') : groups.join(':'), family);
  ensure(list.check(value.replace(/%.*/, ''), family), `${value} became ${groups.join(':')}`);
}

async function runConfig(bytes) {
  const [{ values, warnings }] = await readConfigFiles(scratchFile('config.yaml', bytes));
  for (const key of values.keys())
    ensure(
      SETTINGS.some((known) => known.key === key),
      `there is no setting ${key}`,
    );
  warnings.forEach((warning) => ensure(!warning.includes('\n'), `a warning has two lines: ${warning}`));
}

function runVariable(bytes) {
  const text = bytes.toString();
  for (const setting of SETTINGS) {
    try {
      parseVariable(setting, text, 'VARIABLE');
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
    }
  }
}

export const TARGETS = {
  param: {
    seeds: () => [
      ...TYPES.flatMap((_, i) =>
        ['1', '-129', '0xff', '1e3'].map((value) => Buffer.concat([Buffer.of(i), Buffer.from(value)])),
      ),
      ...['10.0.0.1', '::1', 'fe80::1.2.3.4', '1:2:3:4:5:6:7:8', '::ffff:1.2.3.4%lo'].map(
        (ip) => `\x02${ip}`,
      ),
      '\x00true',
      '\x01text',
    ],
    words: ['::', '0x', '-', '.', 'ffff', '255', 'e', 'Infinity', 'NaN', ' ', '%1', '18446744073709551616'],
    isTyped: true,
    refusals: [ParamError],
    run: runParam,
  },
  config: {
    seeds: () => [
      'operator:\n  oci:\n    verify-image: false\n    pull: never\n    public-keys: [a, b]\nmirrors: {ghcr.io: [https://a/v2]}\n',
      'operator.oci.identities: [{subject: a, issuer: b}]\nx: &a {b: *a}\n',
    ],
    words: [
      '&a ',
      '*a',
      '<<: *a\n',
      '!!binary ',
      '? ',
      '- ',
      ': ',
      '\n  ',
      '|\n',
      '---\n',
      '{',
      '[',
      'operator.oci.',
    ].concat(['- ', '? ', '['].map((word) => word.repeat(1000))),
    refusals: [ConfigError],
    run: runConfig,
  },
  variable: {
    seeds: () => ['true', 'ghcr.io=https://a/v2,quay.io=http://b', 'a@@b,c@@d', '__proto__=https://a'],
    words: ['=', ',', '@@', 'https://', '__proto__'],
    refusals: [],
    run: runVariable,
  },
};
