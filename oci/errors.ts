/** Every error of the oci room that a caller may branch on; each message is one sentence for the user. */

/** The common base, so that a caller can tell a failure of this room from a bug. */
export class OciError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The text is not an image reference. */
export class InvalidReferenceError extends OciError {}

/** There is no such image, tag, blob or file. */
export class NotFoundError extends OciError {}

/** The content is there but is not a well-formed image, or not a gadget, or exceeds a limit. */
export class InvalidImageError extends OciError {}

/** Bytes do not have the digest or the size their descriptor promises. */
export class DigestMismatchError extends OciError {}

/** The registry wants (other) credentials. */
export class UnauthorizedError extends OciError {}

/** The registry could not be reached: name resolution, connection, time-out. */
export class UnreachableError extends OciError {}

/** The registry was reached, but its TLS certificate or protocol was not accepted. */
export class TlsError extends UnreachableError {}

/** The registry answered with something other than what was asked for. */
export class RegistryError extends OciError {}

/** A credentials file exists but cannot be used. */
export class AuthFileError extends OciError {}

/** A program that keeps credentials failed, or there is no such program. */
export class CredentialHelperError extends OciError {}

/** A file of CA certificates cannot be used. */
export class CaFileError extends OciError {}

/** The local store cannot be read, written or locked. */
export class StoreError extends OciError {}

/** The configuration does not allow this image to run. */
export class NotAllowedError extends OciError {}

/** Nobody who is trusted has signed the image. */
export class UntrustedImageError extends OciError {}

/** A key to sign or to verify with cannot be used: its kind, its format, its password. */
export class InvalidKeyError extends OciError {}

/** The file of authorities to trust (sigstore's `trusted_root.json`) cannot be used. */
export class TrustedRootError extends OciError {}

/** The `code` of a Node.js error (`ENOENT`, …) or `undefined`. */
export function errorCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

const MAX_QUOTED_LENGTH = 200;

/** Text from outside as part of a sentence: in quotes, of bounded length, with what no terminal shows made visible. */
export function quoted(text: string): string {
  const visible = JSON.stringify(text.slice(0, MAX_QUOTED_LENGTH)).replace(
    /[\p{C}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
  const isWhole = text.length <= MAX_QUOTED_LENGTH && visible.length <= MAX_QUOTED_LENGTH + 2;
  return isWhole ? visible : `${visible.slice(0, MAX_QUOTED_LENGTH)}…"`;
}
