// Failures of a pipeline that end a run.

export class PipelineError extends Error {
  override name = 'PipelineError';
}
