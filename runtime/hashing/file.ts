// A file to be hashed and what came of it, as the threads and processes on the way tell each other.

/** Which file, in which state: whatever is written to it or changed about it gives it another ctime. */
export interface FileIdentity {
  /** Device of its file system, as in /proc/PID/mountinfo. */
  readonly major: number;
  readonly minor: number;
  readonly inode: bigint;
  /** Last change of the inode, in nanoseconds since the epoch. */
  readonly ctimeNs: bigint;
}

export interface FileToHash extends FileIdentity {
  /** As the process that executed it sees it; empty when nobody knows. */
  readonly path: Uint8Array;
  /** Processes within whose root it may be found, the best first: that which executed it. */
  readonly pids: readonly number[];
}

/** Why a file has no hash. */
export const HASH_FAILURES = [
  /** It is not there any more, was changed since, or cannot be read. */
  'gone',
  /** It is larger than `MAX_FILE_BYTES`. */
  'tooLarge',
  /** Too much had to be hashed at that time. */
  'busy',
] as const;
export type HashFailure = (typeof HASH_FAILURES)[number];

/** `sha256`: 64 hexadecimal digits. */
export type HashOutcome = { readonly sha256: string } | { readonly failure: HashFailure };

export type HashedFile = FileIdentity & HashOutcome;
