/** Something of an image cannot be shown; the message is one sentence for the user. */
export class InspectError extends Error {
  override name = 'InspectError';
}
