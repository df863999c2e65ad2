// UTF-8, by what the engine has of native code: going through its bytes one by one takes many times as long.

/** Whether bytes `from` to `to` of the memory behind `words` are all ASCII. */
export function isAscii(words: Uint32Array, from: number, to: number): boolean {
  if (from >= to) return true;
  const first = from >> 2;
  const last = (to - 1) >> 2;
  const start = -1 << ((from & 3) << 3);
  const end = -1 >>> ((-to & 3) << 3);
  let bits = first === last ? words[first]! & start & end : (words[first]! & start) | (words[last]! & end);
  for (let i = first + 1; i < last; i++) bits |= words[i]!;
  return (bits & 0x80808080) === 0;
}

/** Decodes UTF-8 that is not all ASCII. Where it is not valid, each byte that is not ASCII becomes U+FFFD. */
export function decodeWide(bytes: Uint8Array): string {
  const text = atob(bytes.toBase64());
  try {
    return decodeURIComponent(escape(text));
  } catch {
    return text.replace(/[^\0-\x7f]/g, '\ufffd');
  }
}

/** Text as UTF-8. */
export function encodeBytes(text: string): Uint8Array {
  const encoded = unescape(encodeURIComponent(text.toWellFormed()));
  const bytes = new Uint8Array(encoded.length);
  bytes.setFromBase64(btoa(encoded));
  return bytes;
}
