/** Writes tar archives of an image whose headers say what a test wants, however wrong. */
import { ftruncateSync, openSync, closeSync, writeFileSync, writeSync } from 'node:fs';
import { MEDIA_TYPE, digestOf } from '../../oci/descriptor.js';
import type { Descriptor } from '../../oci/descriptor.js';
import { bytesOf, manifestOf } from './hostile-registry.js';

export interface TarEntry {
  name: string;
  content?: Uint8Array | string | object;
  /** One letter, see https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html, "typeflag"; a file. */
  type?: string;
  /** The 12 bytes of the size field; the true size. */
  sizeField?: string;
  linkName?: string;
}

const BLOCK_BYTES = 512;

/** One entry, header and padded content. */
export function tarEntry({ name, content = '', type = '0', sizeField, linkName = '' }: TarEntry): Buffer {
  const bytes = bytesOf(content);
  const header = Buffer.alloc(BLOCK_BYTES);
  header.write(name, 0, 100, 'latin1');
  header.write('0000644\x000000000\x000000000\x00', 100);
  header.write(sizeField ?? `${bytes.length.toString(8).padStart(11, '0')} `, 124, 12, 'latin1');
  header.write(`${'0'.repeat(11)}\0        ${type}`, 136);
  header.write(linkName, 157, 100, 'latin1');
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const padding = Buffer.alloc((BLOCK_BYTES - (bytes.length % BLOCK_BYTES)) % BLOCK_BYTES);
  return Buffer.concat([header, bytes, padding]);
}

/** An extended header (pax) for the entry that follows it. */
export function paxHeader(key: string, value: string): TarEntry {
  const rest = ` ${key}=${value}\n`;
  const length = rest.length + String(rest.length + 3).length;
  return { name: 'pax', type: 'x', content: `${length}${rest}` };
}

/** Writes an archive. `lengthBytes` is that of the file, which then is mostly a hole. */
export function writeTar(path: string, entries: readonly TarEntry[], lengthBytes?: number): string {
  writeFileSync(path, '');
  const file = openSync(path, 'r+');
  for (const entry of entries) writeSync(file, tarEntry(entry));
  if (lengthBytes === undefined) writeSync(file, Buffer.alloc(2 * BLOCK_BYTES));
  else ftruncateSync(file, lengthBytes);
  closeSync(file);
  return path;
}

/** An image as an archive holds it. */
export interface ArchivedImage {
  readonly marker: TarEntry;
  readonly index: TarEntry;
  readonly blobs: readonly TarEntry[];
  /** As index.json names it. */
  readonly manifest: Descriptor;
}

export function archivedImage(changes: object = {}): ArchivedImage {
  const [config, configBlob] = blob(MEDIA_TYPE.gadgetConfig, 'name: trace_sample\n');
  const [ebpf, ebpfBlob] = blob(MEDIA_TYPE.ebpf, '\x7fELF sample');
  const [plain, manifestBlob] = blob(MEDIA_TYPE.manifest, manifestOf(config, [ebpf]));
  const annotations = { 'org.opencontainers.image.ref.name': 'ghcr.io/x/sample:v1' };
  const manifest = { ...plain, annotations, ...changes };
  return {
    marker: { name: 'oci-layout', content: { imageLayoutVersion: '1.0.0' } },
    index: indexJson([manifest]),
    blobs: [configBlob, ebpfBlob, manifestBlob],
    manifest,
  };
}

export function indexJson(manifests: readonly Descriptor[]): TarEntry {
  return { name: 'index.json', content: { schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests } };
}

function blob(mediaType: string, content: string | object): [Descriptor, TarEntry] {
  const bytes = bytesOf(content);
  const digest = digestOf(bytes);
  return [
    { mediaType, digest, size: bytes.length },
    { name: `blobs/${digest.replace(':', '/')}`, content: bytes },
  ];
}
