import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe as suite, expect, it } from 'vitest';
import { temporaryDirectory } from '../../test/registry/images.js';
import { MEDIA_TYPE, describe } from '../descriptor.js';
import type { Descriptor } from '../descriptor.js';
import { InvalidKeyError, UntrustedImageError } from '../errors.js';
import { Layout } from '../layout.js';
import { Reference, parseReference } from '../reference.js';
import type { Source } from '../target.js';
import { copySignatures, signImage, verifyImage } from './index.js';
import { SIGNATURE_FORMS } from './policy.js';
import type { SignatureForm, TrustPolicyOptions, Verified } from './policy.js';
import { attachSignature } from './referrer.js';
import { addToTag, signatureName } from './tag.js';
import {
  PAYLOAD_TYPE,
  SIGNATURE_ANNOTATION,
  attachAnyBundle,
  bundleOf,
  layerOf,
  makeKey,
  payloadFor,
  sample,
  statementFor,
  testKey,
} from './testing.js';
import type { Sample, TestKey } from './testing.js';

const key = makeKey();
const other = makeKey();

function trusting(...keys: readonly TestKey[]): TrustPolicyOptions {
  return { publicKeys: keys.map(({ publicKey }) => publicKey) };
}

function verify({ layout, reference, root }: Sample, policy = trusting(key)): Promise<Verified> {
  return verifyImage(layout, reference, root, policy);
}

/** The sentence with which it is refused. */
async function refusal(image: Sample, policy = trusting(key)): Promise<string> {
  const error: unknown = await verify(image, policy).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(UntrustedImageError);
  const { message } = error as Error;
  expect(message).not.toContain('\n');
  expect(message).toContain('--public-keys FILE or operator.oci.public-keys in the config file');
  return message;
}

function signSample({ layout, reference, root }: Sample, by: TestKey, form: SignatureForm): Promise<void> {
  return signImage(layout, reference, root, by.privateKey, form);
}

suite('an image that cosign signed', () => {
  const fixtures = new URL('fixtures/', import.meta.url);
  const layout = new Layout(new URL('layout', fixtures).pathname);
  const policy = { publicKeys: [readFileSync(new URL('cosign.pub', fixtures), 'utf8')] };
  const fingerprint = '35ec9c4a50b13bd3ed33dfc063aacd355b3da59c98d5135ff31aa6723ed5fb9b';

  for (const version of ['cosign2', 'cosign3']) {
    it.each(SIGNATURE_FORMS)(`of version ${version} in the form %s is trusted`, async (form) => {
      const reference = parseReference(`localhost:5777/${version}/${form}:v1`);
      const root = await layout.resolve(String(reference));
      expect(await verifyImage(layout, reference, root, policy)).toEqual({ form, by: `key ${fingerprint}` });
      await refusal({ layout, reference, root }, trusting(key));
    });
  }

  it('is trusted where a list of referrers gives the type of the config for that of the signature', async () => {
    const reference = parseReference('localhost:5777/cosign2/bundle:v1');
    const root = await layout.resolve(String(reference));
    const source: Source = {
      resolve: (name) => layout.resolve(name),
      fetch: (descriptor) => layout.fetch(descriptor),
      referrers: async (subject) =>
        (await layout.referrers(subject)).map((found) => ({ ...found, artifactType: MEDIA_TYPE.emptyJson })),
    };
    expect((await verifyImage(source, reference, root, policy)).form).toBe('bundle');
  });
});

suite('an image signed here', () => {
  it.each(SIGNATURE_FORMS)('in the form %s is trusted by its key only', async (form) => {
    const image = await sample();
    await signSample(image, key, form);
    expect(await verify(image, trusting(other, key))).toEqual({ form, by: `key ${key.fingerprint}` });
    expect(await refusal(image, trusting(other))).toContain(`trusted: key ${other.fingerprint};`);
  });

  it.each([
    ['P-384', generateKeyPairSync('ec', { namedCurve: 'secp384r1' })],
    ['ed25519', generateKeyPairSync('ed25519')],
    ['RSA', generateKeyPairSync('rsa', { modulusLength: 2048 })],
  ])('with a key of the kind %s is trusted', async (_kind, pair) => {
    for (const form of SIGNATURE_FORMS) {
      const image = await sample();
      await signSample(image, testKey(pair), form);
      expect((await verify(image, trusting(testKey(pair)))).form).toBe(form);
    }
  });

  it.each(SIGNATURE_FORMS)('keeps the signatures it has in the form %s', async (form) => {
    const image = await sample();
    await signSample(image, other, form);
    await signSample(image, key, form);
    for (const signer of [key, other]) {
      expect((await verify(image, trusting(signer))).by).toBe(`key ${signer.fingerprint}`);
    }
  });

  it('is trusted under another name of the store too', async () => {
    const image = await sample();
    await signSample(image, key, 'tag');
    await image.layout.tag(image.root, 'other.example/x:v2');
    expect((await verify({ ...image, reference: parseReference('other.example/x:v2') })).form).toBe('tag');
  });

  it('is trusted without a name', async () => {
    const { layout, reference, root } = await sample();
    await signImage(layout, reference, root, key.privateKey, 'tag');
    expect((await verifyImage(layout, undefined, root, trusting(key))).form).toBe('tag');
  });
});

suite('an image that nobody trusted has signed is refused', () => {
  it('without a signature', async () => {
    const image = await sample();
    const message = await refusal(image);
    expect(message).toContain(`registry.example/team/trace_sample:v1 (${image.root.digest}) is not signed`);
    expect(message).toContain(`trusted: key ${key.fingerprint};`);
  });

  it('when no key is trusted', async () => {
    const image = await sample();
    await signSample(image, key, 'tag');
    expect(await refusal(image, { publicKeys: [] })).toContain('no key is trusted');
  });

  it('by a key that a bundle names', async () => {
    const image = await sample();
    await signSample(image, other, 'bundle');
    expect(await refusal(image)).toContain(`claims to be by key ${other.fingerprint}, which is not trusted`);
  });

  it('by somebody who claims to have a trusted key', async () => {
    const image = await sample();
    const bundle = bundleOf(statementFor(image.root.digest), other);
    const hint = Buffer.from(key.fingerprint, 'hex').toString('base64');
    await attachAnyBundle(image.layout, image.root, {
      ...bundle,
      verificationMaterial: { publicKey: { hint } },
    });
    expect(await refusal(image)).toContain(`claims to be by the trusted key ${key.fingerprint} is not`);
  });

  it.each(SIGNATURE_FORMS)('with the signature of another image in the form %s', async (form) => {
    const image = await sample();
    const signed = await sample('another');
    await signSample(signed, key, form);
    // Under the name or the subject that the other image's signature would have.
    if (form === 'tag') {
      const manifest = await signed.layout.resolve(signatureName(signed.reference, signed.root));
      await copyAll(signed.layout, image.layout, manifest);
      await image.layout.tag(manifest, signatureName(image.reference, image.root));
    } else if (form === 'referrer') {
      const payload = payloadFor(signed.root.digest);
      await attachSignature(image.layout, image.root, await layerOf(image.layout, payload, key));
    } else {
      await attachAnyBundle(image.layout, image.root, bundleOf(statementFor(signed.root.digest), key));
    }
    expect(await refusal(image)).toContain(`a signature is for another image, ${signed.root.digest}`);
  });
});

async function copyAll(source: Layout, target: Layout, manifest: Descriptor): Promise<void> {
  const bytes: Buffer[] = [];
  for await (const chunk of await source.fetch(manifest)) bytes.push(Buffer.from(chunk));
  const { config, layers } = JSON.parse(Buffer.concat(bytes).toString()) as {
    config: Descriptor;
    layers: Descriptor[];
  };
  for (const blob of [config, ...layers, manifest]) await target.push(blob, await source.fetch(blob));
}

suite('what is no signature', () => {
  const digest = `sha256:${'0'.repeat(64)}`;
  const tagJunk: [string, string | Buffer, Record<string, string>, string][] = [
    ['base64 junk', payloadFor(digest), { [SIGNATURE_ANNOTATION]: '*'.repeat(1000) }, 'is not base64'],
    ['JSON junk', '{"critical":', {}, 'is not JSON'],
    ['a list', '[]', {}, 'is not a JSON object'],
    ['bytes', Buffer.from([0xff, 0xfe]), {}, 'is not JSON'],
    [
      'no digest',
      '{"critical":{"type":"cosign container image signature","image":{}}}',
      {},
      'name the digest',
    ],
    ['another type', payloadFor(digest, 'atomic container signature'), {}, 'does not have the type'],
    ['a certificate of junk', payloadFor(digest), { 'dev.sigstore.cosign/certificate': 'x' }, 'certificate'],
    ['nesting', '['.repeat(500_000), {}, 'is not JSON'],
    ['too many bytes', Buffer.alloc(1024 * 1024 + 1, 'x'), {}, 'more than the limit of 1048576'],
  ];
  it.each(tagJunk)(
    'says so and hides no good one: %s in a tag',
    async (_what, payload, annotations, words) => {
      const image = await sample();
      const { layout, reference, root } = image;
      await addToTag(layout, reference, root, [await layerOf(layout, payload, key, annotations)]);
      expect(await refusal(image)).toContain(words);
      await signSample(image, key, 'tag');
      expect((await verify(image)).form).toBe('tag');
    },
  );

  const envelope = bundleOf(statementFor(digest), key)['dsseEnvelope'];
  const bundles: [string, unknown, string][] = [
    ['JSON junk', '{', 'is not JSON'],
    ['no envelope', {}, '"dsseEnvelope"'],
    ['two signatures', bundleOf(statementFor(digest), key, 2), 'exactly one signature'],
    ['no signature', bundleOf(statementFor(digest), key, 0), 'exactly one signature'],
    [
      'an envelope in an envelope',
      bundleOf(JSON.stringify(envelope), key),
      'does not state that an image is signed',
    ],
    [
      'an attestation',
      bundleOf(statementFor(digest, 'https://slsa.dev/provenance/v1'), key),
      'does not state',
    ],
    ['a digest that is none', bundleOf(statementFor('sha256:xyz'), key), 'name the digest'],
    ['too many bytes', 'x'.repeat(1024 * 1024 + 1), 'more than the limit of 1048576'],
    [
      'a certificate of junk',
      { ...bundleOf(statementFor(digest), key), verificationMaterial: { certificate: { rawBytes: '!' } } },
      'is not base64',
    ],
  ];
  it.each(bundles)('says so and hides no good one: %s in a bundle', async (_what, bundle, words) => {
    const image = await sample();
    await attachAnyBundle(image.layout, image.root, bundle);
    expect(await refusal(image)).toContain(words);
    await signSample(image, key, 'bundle');
    expect((await verify(image)).form).toBe('bundle');
  });

  it('hides no good one under the name of the signatures either', async () => {
    const image = await sample();
    const { layout, reference, root } = image;
    await layout.tag(root, signatureName(reference, root)); // an index
    expect(await refusal(image)).toContain('is not a manifest');
    await signSample(image, key, 'referrer');
    expect((await verify(image)).form).toBe('referrer');
  });

  it('hides no good one under the names that other repositories of a store give it', async () => {
    const image = await sample();
    const { layout, root } = image;
    for (let number = 0; number < 60; number++) {
      const junk = new Reference({ registry: 'a.example', repository: `r${number}`, tag: 'v1' });
      await layout.tag(root, signatureName(junk, root));
    }
    await signSample(image, key, 'tag');
    expect((await verify(image)).form).toBe('tag');
    const copy = { ...image, layout: new Layout(temporaryDirectory()) };
    expect(await copySignatures(layout, copy.layout, image.reference, root)).toBe(1);
    expect((await verify(copy)).form).toBe('tag');
    expect(await refusal(image, trusting(other))).toContain('is not a manifest');
  });

  it('is not looked at more than fifty times', async () => {
    const { layout, reference, root } = await sample();
    const layers = await Promise.all(
      Array.from({ length: 120 }, (_, i) => layerOf(layout, `${payloadFor(digest)}${' '.repeat(i)}`, other)),
    );
    await tagLayers(layout, signatureName(reference, root), layers);
    const fetched: string[] = [];
    const source: Source = {
      resolve: (name) => layout.resolve(name),
      referrers: (subject) => layout.referrers(subject),
      fetch: (descriptor) => {
        fetched.push(descriptor.mediaType);
        return layout.fetch(descriptor);
      },
    };
    await expect(verifyImage(source, reference, root, trusting(key))).rejects.toThrow(UntrustedImageError);
    expect(fetched.filter((type) => type === PAYLOAD_TYPE)).toHaveLength(50);
  });

  it('in thousands is refused as a whole', async () => {
    const image = await sample();
    const { layout, reference, root } = image;
    const layer = await layerOf(layout, payloadFor(root.digest), key);
    await tagLayers(layout, signatureName(reference, root), Array<Descriptor>(5000).fill(layer));
    expect(await refusal(image)).toContain('there are more than 128 layers');
  });

  it('counts by its last member where members are named twice, as for cosign', async () => {
    const image = await sample();
    const { layout, reference, root } = image;
    const [head, tail] = payloadFor(root.digest).split('"docker-manifest-digest":') as [string, string];
    const name = '"docker-manifest-digest":';
    const moved = `${head}${name}"${root.digest}",${name}${tail.replace(root.digest, digest)}`;
    await addToTag(layout, reference, root, [await layerOf(layout, moved, key)]);
    expect(await refusal(image)).toContain(`a signature is for another image, ${digest}`);
  });
});

async function tagLayers(layout: Layout, name: string, layers: readonly Descriptor[]): Promise<void> {
  const config = describe('application/vnd.oci.image.config.v1+json', Buffer.from('{}'));
  await layout.push(config, [Buffer.from('{}')]);
  const bytes = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.manifest, config, layers }),
  );
  const manifest = describe(MEDIA_TYPE.manifest, bytes);
  await layout.push(manifest, [bytes]);
  await layout.tag(manifest, name);
}

suite('a trusted key', () => {
  it.each([
    ['that is none', 'hello', 'is not a public key in PEM'],
    [
      'that is private',
      key.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
      'a PRIVATE KEY in PEM',
    ],
    ['of junk', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n', 'can be read'],
    [
      'that is short',
      testKey(generateKeyPairSync('rsa', { modulusLength: 1024 })).publicKey,
      'RSA of 1024 bits',
    ],
    ['on another curve', makeKey('secp256k1').publicKey, 'ECDSA on secp256k1'],
  ])('%s is said to be so', async (_what, pem, words) => {
    const image = await sample();
    const verified = verify(image, { publicKeys: [pem] });
    await expect(verified).rejects.toThrow(InvalidKeyError);
    await expect(verified).rejects.toThrow(words);
  });

  it('may be one of several in a file', async () => {
    const image = await sample();
    await signSample(image, key, 'tag');
    const policy = { publicKeys: [`first\n${other.publicKey}\nsecond\n${key.publicKey}`] };
    expect((await verify(image, policy)).by).toBe(`key ${key.fingerprint}`);
  });
});

suite('copying signatures', () => {
  async function copied(image: Sample): Promise<Sample & { count: number }> {
    const layout = new Layout(temporaryDirectory());
    const count = await copySignatures(image.layout, layout, image.reference, image.root);
    return { ...image, layout, count };
  }

  it.each(SIGNATURE_FORMS)('takes those of the form %s, once', async (form) => {
    const image = await sample();
    await signSample(image, key, form);
    const copy = await copied(image);
    expect(copy.count).toBe(1);
    expect((await verify(copy)).form).toBe(form);
    expect(await copySignatures(image.layout, copy.layout, image.reference, image.root)).toBe(0);
  });

  it.each(SIGNATURE_FORMS)('adds those of the form %s to what is there', async (form) => {
    const image = await sample();
    await signSample(image, key, form);
    const copy = await copied(image);
    await signSample(image, other, form);
    expect(await copySignatures(image.layout, copy.layout, image.reference, image.root)).toBe(1);
    expect((await verify(copy, trusting(other))).by).toBe(`key ${other.fingerprint}`);
    expect((await verify(copy)).by).toBe(`key ${key.fingerprint}`);
  });

  it('is none where there are none', async () => {
    expect((await copied(await sample())).count).toBe(0);
  });

  it('leaves behind what is too large or missing, and takes the rest', async () => {
    const image = await sample();
    const { layout, reference, root } = image;
    const large = await layerOf(layout, Buffer.alloc(1024 * 1024 + 1), key);
    const missing = { ...large, digest: `sha256:${'1'.repeat(64)}`, size: 10 };
    await signSample(image, key, 'tag');
    await addToTag(layout, reference, root, [large, missing]);
    await attachAnyBundle(layout, root, 'x'.repeat(1024 * 1024 + 1));
    const copy = await copied(image);
    expect(copy.count).toBe(1);
    expect(await copy.layout.has(large)).toBe(false);
    expect((await verify(copy)).form).toBe('tag');
  });
});
