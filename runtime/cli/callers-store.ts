// The image store of the user who called sudo.

import { readFileSync } from 'node:fs';
import { defaultStorePath } from '../../oci/layout.js';
import { UsageError } from './fail.js';

/** Where `ig image build` of that user keeps images. Throws UsageError outside of sudo. */
export function callersStorePath(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const uid = env['SUDO_UID'];
  if (uid === undefined) {
    throw new UsageError('--oci-store-user takes the images of who called sudo, but sudo did not start ig');
  }
  const home = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find((fields) => fields[2] === uid)?.[5];
  if (home === undefined) {
    throw new UsageError(`--oci-store-user: user ${uid}, who called sudo, is not in /etc/passwd`);
  }
  return defaultStorePath(Number(uid), home);
}
