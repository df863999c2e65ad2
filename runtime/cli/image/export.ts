// `ig image export`: writes images of the local store into a tar file.

import { isatty } from 'node:tty';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { exportBytes, exportToFile } from '../../../oci/archive-writer.js';
import { errorCode } from '../../../oci/errors.js';
import { UsageError } from '../fail.js';
import { counted, printOut } from './print.js';
import { openStore, storedImage } from './store.js';

/** The last word is the file, or `-` for stdout. Throws OciError or UsageError. */
export async function exportImages(words: readonly string[]): Promise<void> {
  const images = words.slice(0, -1);
  const file = words.at(-1);
  if (file === undefined || images.length === 0) {
    throw new UsageError(
      '`ig image export` takes images and, behind them, the file to write: ig image export trace_files:v1 trace_files.tar',
    );
  }
  const store = openStore();
  const names: string[] = [];
  for (const image of images) names.push(String((await storedImage(store, image)).reference));
  if (file === '-') return toStdout(exportBytes(store, names));
  await exportToFile(store, names, file);
  await printOut(`Exported ${counted(names.length, 'image')} to ${file}\n`);
}

async function toStdout(bytes: AsyncIterable<Uint8Array>): Promise<void> {
  if (isatty(1))
    throw new UsageError('the archive is not for a terminal: name a file instead of -, or use a pipe');
  try {
    await pipeline(Readable.from(bytes), process.stdout, { end: false });
  } catch (error) {
    if (errorCode(error) === 'EPIPE')
      throw new Error('the archive was not read to its end', { cause: error });
    throw error;
  }
}
