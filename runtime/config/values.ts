// Checks the values of settings, whether they come from a file, the environment or a flag.

import { ConfigError } from './errors.js';
import type { Setting } from './settings.js';

/** Who may have signed without a key: a certificate's subject, and who vouches for it. */
export interface Identity {
  readonly subject: string;
  readonly issuer: string;
}

/** `value` as `setting` takes it. Throws ConfigError, which begins with `place`. */
export function checkValue(setting: Setting, value: unknown, place: string): unknown {
  const fail = (expected: string): never => {
    const found = JSON.stringify(value) ?? 'nothing';
    const short = found.length > 80 ? `${found.slice(0, 79)}…` : found;
    throw new ConfigError(`${place}: expected ${expected}, found ${short}`);
  };
  switch (setting.kind) {
    case 'boolean':
      return typeof value === 'boolean' ? value : fail('true or false');
    case 'text':
      if (typeof value !== 'string') return fail('a text');
      if (setting.oneOf?.includes(value) === false) return fail(`one of ${setting.oneOf.join(', ')}`);
      return value;
    case 'list':
      return isTexts(value) ? value : fail('a list of texts');
    case 'identities':
      return Array.isArray(value) && value.every(isIdentity)
        ? value
        : fail('a list of {subject: …, issuer: …}');
    case 'map':
      return isMapOfUrls(value) ? value : fail('a map such as {ghcr.io: [https://mirror.example/v2]}');
  }
}

/** The value in a variable's text: lists are comma lists, maps are `host=url` in such a list. */
export function parseVariable(setting: Setting, text: string, variable: string): unknown {
  const items = text.split(',').filter((item) => item !== '');
  switch (setting.kind) {
    case 'boolean':
      return checkValue(setting, { true: true, false: false, '1': true, '0': false }[text] ?? text, variable);
    case 'text':
      return checkValue(setting, text, variable);
    case 'list':
      return items;
    case 'identities':
      return checkValue(setting, items.map(identityIn), variable);
    case 'map': {
      // Without a prototype, so that any key is just a key.
      const map = Object.create(null) as Record<string, string[]>;
      for (const item of items) {
        const equals = item.indexOf('=');
        (map[item.slice(0, Math.max(equals, 0))] ??= []).push(item.slice(equals + 1));
      }
      return checkValue(setting, map, variable);
    }
  }
}

/** `subject@@issuer`: neither can hold two "@". */
function identityIn(text: string): Partial<Identity> {
  const [subject, issuer] = text.split('@@');
  return { ...(subject === undefined ? {} : { subject }), ...(issuer === undefined ? {} : { issuer }) };
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function isIdentity(value: unknown): boolean {
  const { subject, issuer } = (value ?? {}) as Partial<Record<keyof Identity, unknown>>;
  return typeof subject === 'string' && subject !== '' && typeof issuer === 'string' && issuer !== '';
}

function isMapOfUrls(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.entries(value).every(
    ([host, urls]) => host !== '' && isTexts(urls) && urls.every((url) => /^https?:\/\/[^/]/.test(url)),
  );
}
