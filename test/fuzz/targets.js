// What is fuzzed: a parser, valid inputs to start from, and the errors by which it may refuse.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseBtf } from '../../dist/bpf/btf.js';
import { BpfError } from '../../dist/bpf/errors.js';
import { Archive } from '../../dist/oci/archive.js';
import { findCredentials, parseChallenge } from '../../dist/oci/auth.js';
import { MEDIA_TYPE, digestOf, parseIndex, parseManifest } from '../../dist/oci/descriptor.js';
import { OciError } from '../../dist/oci/errors.js';
import { readGadgetImage } from '../../dist/oci/gadget-image.js';
import { Layout } from '../../dist/oci/layout.js';
import { parseReference } from '../../dist/oci/reference.js';
import { GadgetError } from '../../dist/runtime/gadget/errors.js';
import { parseMetadata } from '../../dist/runtime/gadget/metadata.js';
import { sectionsOf } from '../../dist/wasm/host/binary.js';
import { InvalidModuleError } from '../../dist/wasm/host/errors.js';
import { capMemory } from '../../dist/wasm/host/memory-cap.js';
import { moduleForm } from '../../dist/wasm/host/module-form.js';

export const MAX_INPUT_BYTES = 256 * 1024;

const BUILTIN = new Layout(new URL('../../dist/images', import.meta.url).pathname);
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

/** Inputs of parsers that read files by their path go here. */
const scratch = mkdtempSync(join(tmpdir(), 'ig-fuzz-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

function file(bytes) {
  const path = join(scratch, 'input');
  writeFileSync(path, bytes);
  return path;
}

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
      if (String(parseReference(String(reference))) !== String(reference))
        throw new TypeError('is not normal');
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
    words: [
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
      '---\n',
      '{',
      '[',
    ],
    refusals: [GadgetError],
    run: (bytes) => parseMetadata(bytes, true),
  },
  btf: {
    seeds: () => [btfOf(ebpf)],
    refusals: [BpfError],
    run: (bytes) => {
      const btf = parseBtf(bytes);
      for (const { id } of btf.types) measure(btf, id);
    },
  },
  wasm: {
    seeds: () => [wasm, Buffer.from('\0asm\x01\0\0\0\x04\x04\x01p\x01\x01\x02\x05\x03\x01\0\x01', 'latin1')],
    refusals: [InvalidModuleError],
    run: (bytes) => {
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

/** The type information in an eBPF object of the built-in gadget's. */
function btfOf(elf) {
  const bytes = Buffer.from(elf);
  const start = bytes.indexOf(Buffer.from([0x9f, 0xeb, 1, 0, 24, 0, 0, 0]));
  const header = bytes.subarray(start);
  return header.subarray(0, 24 + header.readUInt32LE(16) + header.readUInt32LE(20));
}

function measure(btf, id) {
  try {
    btf.sizeOf(id);
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
  }
}
