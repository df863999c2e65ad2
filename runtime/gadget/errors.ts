// Failures a user of a gadget can cause or meet; each message is one sentence.

/** The gadget itself is not right: its metadata, object or module. */
export class GadgetError extends Error {
  override name = 'GadgetError';
}

/** A parameter, field or flag value that the gadget does not take. */
export class ParamError extends Error {
  override name = 'ParamError';
}
