// Failures to do with a recording: each message is one sentence for the user.

export class RecordingError extends Error {
  override name = 'RecordingError';
}
