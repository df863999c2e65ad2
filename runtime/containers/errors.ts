// The errors of this room: what a caller may branch on.

/** An engine that cannot be asked; `missing` when nothing suggests that it is installed or running here. */
export class EngineUnavailableError extends Error {
  readonly missing: boolean;

  constructor(message: string, detail: { missing?: boolean; cause?: unknown } = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = 'EngineUnavailableError';
    this.missing = detail.missing ?? false;
  }
}

/** An engine's answer that makes no sense, is too large, or comes too late. */
export class EngineAnswerError extends Error {
  /** HTTP status or the like; undefined when there was no answer to take it from. */
  readonly status: number | undefined;

  constructor(message: string, detail: { status?: number; cause?: unknown } = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = 'EngineAnswerError';
    this.status = detail.status;
  }
}

/** What an engine answers; undefined when the answer's `status` says that there is no such thing. */
export async function unlessMissing(answer: Promise<unknown>, status: number): Promise<unknown> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof EngineAnswerError && error.status === status) return undefined;
    throw error;
  }
}

/** A container selection that cannot be understood. */
export class SelectorError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SelectorError';
  }
}

/** The sentence an error says, without its stack; for warnings that quote a reason. */
export function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\.$/, '');
}
