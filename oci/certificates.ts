/** Reads the file of CA certificates that a user trusts beside the usual ones. */
import { X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { createSecureContext, rootCertificates } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { CaFileError, errorCode } from './errors.js';

const MAX_FILE_BYTES = 4 * 1024 * 1024;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * For TLS that trusts the usual roots (of Node.js, and of NODE_EXTRA_CA_CERTS if set) and the certificates in
 * `caFile`. To be made once, as reading all the roots takes longer than a handshake.
 * @throws CaFileError naming the file
 */
export async function trustingContext(
  caFile: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<SecureContext> {
  const extraFile = env['NODE_EXTRA_CA_CERTS'] ?? '';
  // Node.js itself goes on without an extra file that it cannot read.
  const extra = extraFile === '' ? [] : await readCertificates(extraFile).catch(() => []);
  return createSecureContext({ ca: [...rootCertificates, ...extra, ...(await readCertificates(caFile))] });
}

async function readCertificates(file: string): Promise<string[]> {
  const found = (await readText(file)).match(CERTIFICATE) ?? [];
  if (found.length === 0) throw new CaFileError(`the CA file ${file} holds no certificate in PEM form`);
  for (const certificate of found) {
    try {
      new X509Certificate(certificate);
    } catch (cause) {
      throw new CaFileError(`a certificate in the CA file ${file} is damaged`, { cause });
    }
  }
  return found;
}

async function readText(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size > MAX_FILE_BYTES) {
      throw new CaFileError(`the CA file ${file} is larger than ${MAX_FILE_BYTES} bytes`);
    }
    return await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof CaFileError) throw error;
    const why = errorCode(error) === 'ENOENT' ? 'there is no such file' : (error as Error).message;
    throw new CaFileError(`cannot read the CA file ${file}: ${why}`, { cause: error });
  }
}
