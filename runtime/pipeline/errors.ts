// Failures of a pipeline that end a run, or keep it from starting.

export class PipelineError extends Error {
  /** That of the failure in the worker, if there was one: what tells a user's mistake from others. */
  override readonly name: string;

  constructor(message: string, { name = 'PipelineError', cause }: { name?: string; cause?: unknown } = {}) {
    super(message, { cause });
    this.name = name;
  }
}

/** A flag that is for data sources as they are not there; the message is one sentence for the user. */
export class ScopeError extends Error {
  override name = 'ScopeError';
}
