// The types of wasm/wit/post-processor.wit as the engine has them.

export type Kind =
  | 'none'
  | 'boolean'
  | 's8'
  | 's16'
  | 's32'
  | 's64'
  | 'u8'
  | 'u16'
  | 'u32'
  | 'u64'
  | 'f32'
  | 'f64'
  | 'text'
  | 'cstring'
  | 'bytes'
  | 'text-list';

export type Level = 'error' | 'warn' | 'info' | 'debug' | 'trace';

export interface WitField {
  readonly name: string;
  readonly kind: Kind;
  readonly length: number;
  readonly place: 'fixed' | 'tail' | 'column';
  readonly offset: number;
  readonly size: number;
  readonly tags: readonly string[];
  readonly annotations: readonly (readonly [string, string])[];
}

export interface WitSource {
  readonly id: number;
  readonly name: string;
  readonly fields: readonly WitField[];
}

export interface WitNewField {
  readonly name: string;
  readonly kind: Kind;
  readonly length: number;
  readonly tags: readonly string[];
  readonly annotations: readonly (readonly [string, string])[];
}

export interface WitPlan {
  readonly columns: readonly { readonly source: number; readonly field: WitNewField }[];
  readonly reads: readonly (readonly [source: number, field: number])[];
  readonly emits: readonly { readonly name: string; readonly fields: readonly WitNewField[] }[];
  readonly tickMs: number;
}
