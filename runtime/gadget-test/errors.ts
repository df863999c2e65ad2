/** A test of a gadget that cannot be run; the message is one sentence for its author. */
export class GadgetTestError extends Error {
  override name = 'GadgetTestError';
}
