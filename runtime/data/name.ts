// What may be the name of a data source or a field: it stands in messages, in keys and on terminals as it is.

const MAX_LENGTH = 1024;
/** Controls, what turns the direction of writing, blanks of any kind, and what is no character. */
const UNFIT = /[\p{C}\p{Z}]/u;

/** Compilers take letters of any script, and nothing that is refused here. */
export function isName(text: string): boolean {
  return text !== '' && text.length <= MAX_LENGTH && !UNFIT.test(text);
}
