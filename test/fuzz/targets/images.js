// Images and what they are made of: references, manifests, archives, signatures, metadata, BTF, ELF, Wasm.

import { readFileSync } from 'node:fs';
import { Wrong, ensure } from '../oracles.js';
import { scratchFile } from '../scratch.js';
import { parseBtf } from '../../../dist/bpf/btf.js';
import { BpfError } from '../../../dist/bpf/errors.js';
import { Archive } from '../../../dist/oci/archive.js';
import { findCredentials } from '../../../dist/oci/auth.js';
import { parseChallenge } from '../../../dist/oci/authorizer.js';
import { MEDIA_TYPE, digestOf, parseIndex, parseManifest } from '../../../dist/oci/descriptor.js';
import { NotFoundError, OciError } from '../../../dist/oci/errors.js';
import { readGadgetImage } from '../../../dist/oci/gadget-image.js';
import { Layout } from '../../../dist/oci/layout.js';
import { parseReference } from '../../../dist/oci/reference.js';
import { fetchBytes } from '../../../dist/oci/target.js';
import { verifyImage } from '../../../dist/oci/signature/index.js';
import { BuildError } from '../../../dist/runtime/build/errors.js';
import { readBuildFile } from '../../../dist/runtime/build/build-file.js';
import { GadgetError } from '../../../dist/runtime/gadget/errors.js';
import { readEbpfSchema } from '../../../dist/runtime/gadget/ebpf-schema.js';
import { isFixed, widthOf } from '../../../dist/runtime/data/kind.js';
import { emptyMetadata, parseMetadata } from '../../../dist/runtime/gadget/metadata.js';
import { dataSourcesOf } from '../../../dist/runtime/inspect/data-sources.js';
import { readElf } from '../../../dist/bpf/elf.js';
import { InspectError } from '../../../dist/runtime/inspect/errors.js';
import { mapsByFunction } from '../../../dist/runtime/inspect/map-use.js';
import { inspectWasm } from '../../../dist/runtime/inspect/wasm.js';
import { sectionsOf } from '../../../dist/wasm/host/binary.js';
import { InvalidModuleError } from '../../../dist/wasm/host/errors.js';
import { capMemory } from '../../../dist/wasm/host/memory-cap.js';
import { moduleForm } from '../../../dist/wasm/host/module-form.js';

const BUILTIN = new Layout(new URL('../../../dist/images', import.meta.url).pathname);
const [TRACE_EXEC] = await BUILTIN.list();
const { ebpf, wasm, metadata } = await readGadgetImage(BUILTIN, TRACE_EXEC.descriptor, {
  architecture: 'amd64',
});

const BLOB = {
  mediaType: MEDIA_TYPE.ebpf,
  digest: digestOf(Buffer.from('x')),
  size: 1,
  annotations: { a: 'b' },
};
const MANIFEST = {
  ...BLOB,
  mediaType: MEDIA_TYPE.manifest,
  platform: { os: 'linux', architecture: 'amd64' },
};
const INDEX = {
  schemaVersion: 2,
  mediaType: MEDIA_TYPE.index,
  manifests: [MANIFEST],
  annotations: { a: 'b' },
};
const IMAGE = {
  schemaVersion: 2,
  mediaType: MEDIA_TYPE.manifest,
  artifactType: 'a/b',
  config: BLOB,
  layers: [BLOB],
};

function file(bytes) {
  return scratchFile('input', bytes);
}

const YAML_WORDS = [
  '&a ',
  '*a',
  '<<: *a\n',
  '!!binary ',
  '!!js/x ',
  '? ',
  '- ',
  ': ',
  '\n  ',
  '|\n',
  '%YAML 1.1\n',
].concat(
  ['---\n', '{', '['],
  ['- ', '? ', '['].map((word) => word.repeat(5000)),
);

const SIGNED = new Layout(new URL('../../../oci/signature/fixtures/layout', import.meta.url).pathname);
const cosign = await readSignatures();

export const TARGETS = {
  reference: {
    seeds: () => [
      'trace_exec',
      'ghcr.io/a/b_c/d:v1',
      `[::1]:5000/a@${BLOB.digest}`,
      `R.example:1/a:b@${BLOB.digest}`,
    ],
    words: ['sha256:', 'localhost/', '[', ']:', '@', '://', '__'],
    refusals: [OciError],
    run: (bytes) => {
      const reference = parseReference(bytes.toString());
      if (String(parseReference(String(reference))) !== String(reference)) throw new Wrong('is not normal');
    },
  },
  index: {
    seeds: () => [JSON.stringify(INDEX)],
    refusals: [OciError],
    run: (bytes) => JSON.stringify(parseIndex(bytes, 'the index')),
  },
  manifest: {
    seeds: () => [JSON.stringify(IMAGE)],
    refusals: [OciError],
    run: (bytes) => JSON.stringify(parseManifest(bytes, 'the manifest')),
  },
  challenge: {
    seeds: () => [
      'Bearer realm="https://a.example/t",service="s",scope="repository:a/b:pull"',
      'Basic realm=x, Bearer',
    ],
    words: ['Bearer ', 'Basic ', 'Negotiate', 'realm=', '"', '\\"', ',', '='],
    refusals: [OciError],
    run: (bytes) => parseChallenge(bytes.toString('latin1')),
  },
  credentials: {
    seeds: () => [
      JSON.stringify({
        auths: { 'r.example': { auth: 'YTpi' }, 'https://r.example/v1/': { username: 'a', password: 'b' } },
      }),
    ],
    refusals: [OciError],
    run: (bytes) => findCredentials('r.example', { authFile: file(bytes) }),
  },
  archive: {
    seeds: () => [tarOf({ 'index.json': archiveIndex(), [`blobs/${BLOB.digest.replace(':', '/')}`]: 'x' })],
    words: [
      'ustar\0',
      '././@LongLink',
      '30 path=../../../../etc/passwd\n',
      '20 size=99999999999\n',
      '../',
      '\x80\0\0\0',
    ],
    refusals: [OciError],
    repair: withChecksums,
    run: readArchive,
  },
  metadata: {
    seeds: () => [metadata, GADGET_YAML],
    words: YAML_WORDS,
    refusals: [GadgetError],
    run: (bytes) => parseMetadata(bytes, true),
  },
  buildFile: {
    seeds: () => [
      'ebpfsource: a.c\nwasm: a.ts\nmetadata: m.yaml\ncflags: [-Da, "-Db c"]\n',
      'cflags: -Da -Db\n',
    ],
    words: YAML_WORDS,
    refusals: [BuildError],
    run: (bytes) => readBuildFile(undefined, file(bytes)),
  },
  payload: {
    seeds: () => [cosign.payload],
    refusals: [OciError],
    run: (bytes) =>
      verifySignature({ ...cosign.tag, layers: [{ ...cosign.tag.layers[0], ...sized(bytes) }] }, bytes),
  },
  signature: {
    seeds: () => [JSON.stringify(cosign.tag), JSON.stringify(withCertificate(cosign.tag))],
    refusals: [OciError],
    run: (bytes) => verifySignature(bytes, cosign.payload),
  },
  bundle: {
    seeds: () => [cosign.bundle],
    refusals: [OciError],
    run: (bytes) => verifyBundle(bytes),
  },
  btf: {
    seeds: () => [smallBtf()],
    refusals: [BpfError, GadgetError, InspectError],
    run: (bytes) => {
      const btf = parseBtf(bytes);
      for (const { id } of btf.types) measure(btf, id);
      dataSourcesOf(btf, emptyMetadata('a'));
      for (const { recordSize, fields } of readEbpfSchema(btf).tracers)
        for (const field of fields) checkPlace(field, recordSize);
    },
  },
  elf: {
    seeds: () => [ebpf],
    refusals: [BpfError],
    run: (bytes) => mapsByFunction(readElf(bytes)),
  },
  wasm: {
    seeds: () => [wasm, Buffer.from('\0asm\x01\0\0\0\x04\x04\x01p\x01\x01\x02\x05\x03\x01\0\x01', 'latin1')],
    refusals: [InvalidModuleError, InspectError],
    run: (bytes) => {
      inspectWasm(bytes);
      if (moduleForm(bytes) === 'core') capMemory(bytes, 1 << 24);
      else Array.from(sectionsOf(bytes));
    },
  },
};

const GADGET_YAML = `name: a
annotations: &all {b: c}
datasources:
  events:
    fields:
      proc.comm: {annotations: *all, tags: [x]}
params:
  ebpf:
    p: {key: k, defaultValue: 1, isMandatory: true, possibleValues: [a, b]}
`;

function archiveIndex() {
  const named = {
    ...BLOB,
    mediaType: MEDIA_TYPE.manifest,
    annotations: { 'org.opencontainers.image.ref.name': 'a:b' },
  };
  return JSON.stringify({ schemaVersion: 2, manifests: [named] });
}

async function readArchive(bytes) {
  const archive = await Archive.open(file(bytes));
  for (const { descriptor } of await archive.list()) {
    await archive.referrers(descriptor);
    for await (const chunk of await archive.fetch(descriptor)) void chunk;
  }
}

/** A tar archive of an image layout. */
function tarOf(files) {
  const blocks = Object.entries({ 'oci-layout': '{"imageLayoutVersion":"1.0.0"}', ...files }).flatMap(
    ([name, content]) => {
      const header = Buffer.alloc(512);
      const size = content.length.toString(8).padStart(11, '0');
      header.write(
        `${name.padEnd(100, '\0')}0000644\0${'0000000\0'.repeat(2)}${size}\0${'0'.repeat(11)}\0        0`,
      );
      header.write('ustar\x0000', 257);
      return [header, Buffer.from(content.padEnd(Math.ceil(content.length / 512) * 512, '\0'))];
    },
  );
  return withChecksums(Buffer.concat([...blocks, Buffer.alloc(1024)]));
}

/** Without right checksums, a tar reader would look no further. */
function withChecksums(bytes) {
  const mended = Buffer.from(bytes);
  for (let at = 0; at + 512 <= mended.length; at += 512) {
    const header = mended.subarray(at, at + 512);
    if (!header.includes('ustar') && header.toString('latin1', 148, 154).trim() === '') continue;
    header.fill(' ', 148, 156);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  }
  return mended;
}

/** The types of a gadget with one data source, its struct with a member of each kind there is. */
function smallBtf() {
  let names = '\0';
  const name = (text) => {
    names += `${text}\0`;
    return names.length - text.length - 1;
  };
  const words = [];
  const type = (text, kind, count, last, ...rest) => {
    words.push(name(text), (kind << 24) | count, last, ...rest);
  };
  const MEMBERS = [
    ...[
      ['a', 1, 32],
      ['b', 2, 8],
      ['c', 3, 128],
      ['d', 4, 64],
      ['e', 5, 32],
      ['f', 6, 64],
      ['g', 7, 64],
      ['h', 8, 64],
    ],
  ];
  type('int', 1, 0, 4, 0x01000020);
  type('char', 1, 0, 1, 0x02000008);
  type('', 3, 0, 0, 2, 1, 16);
  type('double', 16, 0, 8);
  type('colour', 6, 1, 4, name('RED'), 1);
  type('', 2, 0, 1);
  type('gadget_tail_string', 8, 0, 9);
  type('gadget_timestamp', 8, 0, 10);
  type('tail', 4, 2, 8, name('offset'), 1, 0, name('size'), 1, 32);
  type('u64', 1, 0, 8, 0x40);
  let at = 0;
  const members = MEMBERS.flatMap(([text, id, bits]) => [name(text), id, (at += bits) - bits]);
  type('event', 4, MEMBERS.length, Math.ceil(at / 64) * 8, ...members);
  type('gadget_tracer_events___ring___event', 14, 0, 6, 1);
  type('.rodata', 15, 1, 8, 12, 0, 8);
  // One of each other kind there is.
  for (const kind of [7, 9, 10, 11, 18]) type('', kind, 0, 1);
  type('either', 5, 1, 4, name('x'), 1, 0);
  type('', 13, 1, 1, name('argument'), 1);
  type('function', 12, 1, 20);
  type('tag', 17, 0, 11, 0);
  type('wide', 19, 1, 8, name('HUGE'), 1, 1);
  const header = Buffer.alloc(24);
  header.writeUInt16LE(0xeb9f);
  header.writeUInt8(1, 2);
  [24, 0, words.length * 4, words.length * 4, names.length].forEach((word, i) =>
    header.writeUInt32LE(word, 4 + 4 * i),
  );
  return Buffer.concat([header, Buffer.from(Uint32Array.from(words).buffer), Buffer.from(names)]);
}

/** What is read of a field at a fixed place is there in every record. */
function checkPlace({ fullName, kind, place, offset, size, length }, recordSize) {
  const needed = place === 'tail' ? 8 : Math.max(size, isFixed(kind) ? widthOf(kind) * length : 0);
  ensure(Number.isInteger(offset), () => `${fullName} begins at ${offset}`);
  ensure(place === 'nowhere' || offset + needed <= recordSize, () => `${fullName} reaches behind its record`);
}

function measure(btf, id) {
  try {
    btf.sizeOf(id);
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
  }
}

/** What cosign made: a manifest of the form `tag`, the payload it names, and a bundle. */
async function readSignatures() {
  const json = async (descriptor) =>
    JSON.parse((await fetchBytes(SIGNED, descriptor, 1 << 20, 'it')).toString());
  const entries = await SIGNED.list();
  const tag = await json(
    entries.find(({ reference }) => /cosign2\/tag:sha256-.*\.sig$/.test(reference)).descriptor,
  );
  const payload = await fetchBytes(SIGNED, tag.layers[0], 1 << 20, 'it');
  const root = await SIGNED.resolve('localhost:5777/cosign3/bundle:v1');
  const [referrer] = await SIGNED.referrers(root);
  const manifest = await json(referrer);
  return {
    tag,
    payload,
    root,
    referrer: manifest,
    bundle: await fetchBytes(SIGNED, manifest.layers[0], 1 << 20, 'it'),
  };
}

const POLICY = {
  publicKeys: [readFileSync(new URL('../../../oci/signature/fixtures/cosign.pub', import.meta.url), 'utf8')],
};
const SIGNED_ROOT = { mediaType: MEDIA_TYPE.index, digest: BLOB.digest, size: 1 };

const sized = (bytes) => ({ digest: digestOf(bytes), size: bytes.length });

/** Verifies an image that has this manifest, and what it names, for its signature; each is JSON or bytes. */
function verifySignature(manifest, payload) {
  return verify(true, [manifest, payload]);
}

function verifyBundle(bundle) {
  const [layer] = cosign.referrer.layers;
  const manifest = { ...cosign.referrer, subject: SIGNED_ROOT, layers: [{ ...layer, ...sized(bundle) }] };
  return verify(false, [manifest, bundle]);
}

async function verify(isTag, parts) {
  const [manifest, ...blobs] = parts.map((part) =>
    part instanceof Uint8Array ? part : Buffer.from(JSON.stringify(part)),
  );
  const descriptor = { mediaType: MEDIA_TYPE.manifest, ...sized(manifest) };
  const contents = new Map([manifest, ...blobs].map((bytes) => [digestOf(bytes), bytes]));
  const source = {
    resolve: () => (isTag ? Promise.resolve(descriptor) : Promise.reject(new NotFoundError('no tag'))),
    fetch: ({ digest }) =>
      contents.has(digest)
        ? Promise.resolve([contents.get(digest)])
        : Promise.reject(new NotFoundError('no blob')),
    referrers: () => Promise.resolve(isTag ? [] : [descriptor]),
  };
  await verifyImage(source, parseReference('a.example/b:c'), SIGNED_ROOT, POLICY);
}

function withCertificate(manifest) {
  const [layer] = manifest.layers;
  const annotations = {
    ...layer.annotations,
    'dev.sigstore.cosign/certificate': '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n',
    'dev.sigstore.cosign/bundle':
      '{"SignedEntryTimestamp":"YQ==","Payload":{"body":"e30=","integratedTime":1,"logIndex":1,"logID":"00"}}',
  };
  return { ...manifest, layers: [{ ...layer, annotations }] };
}
