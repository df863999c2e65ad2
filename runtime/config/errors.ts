/** A configuration file, variable or flag holds what it may not; the message names which, and where. */
export class ConfigError extends Error {
  override name = 'ConfigError';
}
