import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { INSPEKTOR_GADGET_PUBLIC_KEY } from '../../oci/signature/default-key.js';
import { loadConfig } from './config.js';

const KEY = '-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n';
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ig-config-test-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function file(text: string): string {
  const path = join(directory, 'config.yaml');
  writeFileSync(path, text);
  return path;
}

describe('the configuration', () => {
  it('trusts what Inspektor Gadget signed, and nothing that is unsigned, when nobody says anything', async () => {
    const config = await loadConfig({ config: file('') }, {});
    expect(config.verifyImage).toBe(true);
    expect(config.trust).toEqual({ publicKeys: [INSPEKTOR_GADGET_PUBLIC_KEY] });
    expect(config.pull).toBe('missing');
  });

  it('takes flags before variables before the file', async () => {
    const config = file('operator: {oci: {pull: never, authfile: /file, ca-file: /file}}');
    const env = {
      INSPEKTOR_GADGET_OPERATOR_OCI_AUTHFILE: '/variable',
      INSPEKTOR_GADGET_OPERATOR_OCI_CA_FILE: '/variable',
    };
    const loaded = await loadConfig({ config, caFile: '/flag' }, env);
    expect(loaded.pull).toBe('never');
    expect(loaded.registry.authFile).toBe('/variable');
    expect(loaded.registry.caFile).toBe('/flag');
    const from = Object.fromEntries(loaded.settings.map(({ setting, from }) => [setting.key, from]));
    expect(from['operator.oci.pull']).toBe(config);
    expect(from['operator.oci.authfile']).toBe('INSPEKTOR_GADGET_OPERATOR_OCI_AUTHFILE');
    expect(from['operator.oci.ca-file']).toBe('--ca-file');
    expect(from['mirrors']).toBe('default');
  });

  it.each([
    ['nested', 'operator:\n  oci:\n    verify-image: false\n'],
    ['dotted', 'operator.oci.verify-image: false\n'],
    ['half of each', 'operator.oci:\n  verify-image: false\n'],
    ['in capitals', 'Operator:\n  OCI:\n    Verify-Image: false\n'],
  ])('may be %s', async (_, text) => {
    expect((await loadConfig({ config: file(text) }, {})).verifyImage).toBe(false);
  });

  it('names mirrors, hosts with dots in them', async () => {
    const text = 'mirrors: {ghcr.io: [https://mirror.example/v2, http://localhost:5000/v2]}';
    const { registry } = await loadConfig({ config: file(text) }, {});
    expect(registry.mirrors).toEqual({
      'ghcr.io': ['https://mirror.example/v2', 'http://localhost:5000/v2'],
    });
  });

  it('names mirrors in a variable', async () => {
    const INSPEKTOR_GADGET_MIRRORS = 'ghcr.io=https://a/v2,ghcr.io=https://b/v2,quay.io=https://a/v2';
    const { registry } = await loadConfig({ config: file('') }, { INSPEKTOR_GADGET_MIRRORS });
    expect(registry.mirrors).toEqual({
      'ghcr.io': ['https://a/v2', 'https://b/v2'],
      'quay.io': ['https://a/v2'],
    });
  });

  it('has no mirrors of registries that cannot be, nor settings in a section that is empty', async () => {
    const env = { INSPEKTOR_GADGET_MIRRORS: '__proto__=https://a/v2' };
    const { registry, warnings } = await loadConfig({ config: file('operator:\n  oci:\n') }, env);
    expect(Object.hasOwn(registry.mirrors ?? {}, 'ghcr.io')).toBe(false);
    expect(warnings).toEqual([]);
  });

  it('takes public keys as texts and as files', async () => {
    const path = join(directory, 'key.pub');
    writeFileSync(path, KEY);
    const { trust } = await loadConfig({ config: file(''), publicKeys: [path, KEY] }, {});
    expect(trust.publicKeys).toEqual([KEY, KEY]);
  });

  it('names who may sign without a key', async () => {
    const text =
      'operator.oci:\n  trusted-root: /r.json\n  identities: [{subject: me@x.org, issuer: https://x.org}]';
    const { trust } = await loadConfig({ config: file(text) }, {});
    expect(trust.trustedRoot).toBe('/r.json');
    expect(trust.identities).toEqual([{ subject: 'me@x.org', issuer: 'https://x.org' }]);
  });

  it("warns of what is not ig's, with the line", async () => {
    const config = file('# mine\noperator:\n  otel-metrics:\n    listen: true\n');
    expect((await loadConfig({ config }, {})).warnings).toEqual([
      `${config}:3: ig has no setting operator.otel-metrics, so it is ignored`,
    ]);
  });

  it("warns of the peer's settings that do nothing here", async () => {
    const config = file('operator.oci.notation-certificates: [a]');
    expect((await loadConfig({ config }, {})).warnings).toEqual([
      `${config}:1: ig has no setting operator.oci.notation-certificates, so it is ignored`,
    ]);
  });

  it.each([
    ['operator:\n  oci:\n    verify-images: false', ':3: there is no setting operator.oci.verify-images; '],
    [
      'operator.oci.verify-image: maybe',
      ':1: operator.oci.verify-image: expected true or false, found "maybe"',
    ],
    [
      'operator.oci.pull: often',
      ':1: operator.oci.pull: expected one of always, missing, never, found "often"',
    ],
    [
      '"operator.oci.a\\nb": 1',
      ':1: there is no setting "operator.oci.a\\nb"; operator.oci has verify-image',
    ],
    ['mirrors: {ghcr.io: [mirror.example]}', ':1: mirrors: expected a map such as'],
    ['mirrors: [', ':1: Flow sequence in block collection'],
    ['- a', ':1: expected keys and values'],
    ['operator:\n  oci: [verify-image]', ':2: operator.oci: expected keys and values'],
    ['mirrors: *none', ':1: Unresolved alias'],
    ['operator.oci.public-keys: /one/file', 'expected a list of texts'],
  ])('refuses %j', async (text, message) => {
    const config = file(text);
    await expect(loadConfig({ config }, {})).rejects.toThrow(message);
    await expect(loadConfig({ config }, {})).rejects.toMatchObject({ name: 'ConfigError' });
  });

  it('refuses a variable that says neither yes nor no', async () => {
    const env = { INSPEKTOR_GADGET_OPERATOR_OCI_VERIFY_IMAGE: 'perhaps' };
    await expect(loadConfig({ config: file('') }, env)).rejects.toThrow(
      'INSPEKTOR_GADGET_OPERATOR_OCI_VERIFY_IMAGE: expected true or false, found "perhaps"',
    );
  });

  it('says so when there is no such file, or no such key', async () => {
    await expect(loadConfig({ config: '/nowhere.yaml' }, {})).rejects.toThrow('/nowhere.yaml');
    const publicKeys = [join(directory, 'missing.pub')];
    await expect(loadConfig({ config: file(''), publicKeys }, {})).rejects.toThrow('missing.pub');
  });
});
