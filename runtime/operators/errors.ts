// The errors of this room: what a user can get wrong about an operator.

/** A filter, sorting or limit that cannot be applied; the message is one sentence for the user. */
export class OperatorError extends Error {
  override name = 'OperatorError';
}
