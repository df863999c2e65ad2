// What the engine has beside the language of es2024.

interface Uint8Array {
  toBase64(): string;
  /** Decodes into this array. */
  setFromBase64(text: string): { read: number; written: number };
}

/** Base64 as text in which each character is a byte. */
declare function atob(base64: string): string;
/** Text in which each character is a byte as Base64; throws when a character is above U+00FF. */
declare function btoa(bytes: string): string;
