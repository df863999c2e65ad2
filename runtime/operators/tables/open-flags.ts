// Names of the flags of open(2) (include/uapi/asm-generic/fcntl.h; arch/arm64/include/uapi/asm/fcntl.h).

type FlagName = readonly [name: string, bits: number];

const COMMON: readonly FlagName[] = [
  ['O_CREAT', 0o100],
  ['O_EXCL', 0o200],
  ['O_NOCTTY', 0o400],
  ['O_TRUNC', 0o1000],
  ['O_APPEND', 0o2000],
  ['O_NONBLOCK', 0o4000],
  ['O_SYNC', 0o4010000],
  ['O_DSYNC', 0o10000],
  ['FASYNC', 0o20000],
  ['O_NOATIME', 0o1000000],
  ['O_CLOEXEC', 0o2000000],
  ['O_PATH', 0o10000000],
];

const X64: readonly FlagName[] = [
  ['O_TMPFILE', 0o20200000],
  ['O_DIRECT', 0o40000],
  ['O_LARGEFILE', 0o100000],
  ['O_DIRECTORY', 0o200000],
  ['O_NOFOLLOW', 0o400000],
];

const ARM64: readonly FlagName[] = [
  ['O_TMPFILE', 0o20040000],
  ['O_DIRECTORY', 0o40000],
  ['O_NOFOLLOW', 0o100000],
  ['O_DIRECT', 0o200000],
  ['O_LARGEFILE', 0o400000],
];

/** Flags without the access mode; those made of several bits stand before their parts. */
export function openFlagNames(arch: 'x64' | 'arm64'): readonly FlagName[] {
  return [...COMMON, ...(arch === 'x64' ? X64 : ARM64)];
}
