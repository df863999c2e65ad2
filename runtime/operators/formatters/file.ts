// Formatters of what is known about a file: its mode and the flags it was opened with.

import { openFlagNames } from '../tables/open-flags.js';
import { byTable } from './named.js';
import type { Formatter } from './formatter.js';

/** The file type's letter by the four bits above the permissions (S_IFMT in include/uapi/linux/stat.h). */
const TYPES: Readonly<Record<number, string>> = { 1: 'p', 2: 'c', 4: 'd', 6: 'b', 10: 'l', 12: 's' };

/** As `ls -l` shows it; modes without a file type look like those of regular files. */
function modeText(mode: number): string {
  const type = TYPES[(mode >> 12) & 15] ?? '-';
  const parts = [6, 3, 0].map((shift) => {
    const bits = (mode >> shift) & 7;
    const special = (mode >> (9 + shift / 3)) & 1;
    const letter = shift === 0 ? 't' : 's';
    const execute = bits & 1 ? (special ? letter : 'x') : special ? letter.toUpperCase() : '-';
    return `${bits & 4 ? 'r' : '-'}${bits & 2 ? 'w' : '-'}${execute}`;
  });
  return type + parts.join('');
}

export const fileMode: Formatter = { name: 'file_mode', type: 'gadget_file_mode', create: byTable(modeText) };

const ACCESS_MODES = ['O_RDONLY', 'O_WRONLY', 'O_RDWR'];
const FLAGS = openFlagNames(process.arch === 'arm64' ? 'arm64' : 'x64');

function flagsText(flags: number): string {
  let rest = flags & ~3;
  const names = [ACCESS_MODES[flags & 3] ?? '3'];
  for (const [name, bits] of FLAGS) {
    if ((rest & bits) !== bits) continue;
    names.push(name);
    rest &= ~bits;
  }
  if (rest !== 0) names.push(`0x${(rest >>> 0).toString(16)}`);
  return names.join('|');
}

export const fileFlags: Formatter = {
  name: 'file_flags',
  type: 'gadget_file_flags',
  create: byTable(flagsText),
};
