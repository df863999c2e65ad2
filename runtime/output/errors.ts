// The errors of this room: what a user can get wrong about an output.

/** An output mode or a choice of fields that cannot be served; the message is one sentence for the user. */
export class OutputError extends Error {
  override name = 'OutputError';
}
