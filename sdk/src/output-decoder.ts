/** What an output stream consists of, whatever its wire format. */
export type OutputEvent =
  /** `nextOffset` is where to resume after these bytes; absent = the present offset plus their number, null = nobody knows. */
  | { readonly kind: "data"; readonly bytes: Uint8Array<ArrayBuffer>; readonly nextOffset?: number | null }
  | { readonly kind: "idle" }
  /** The stream is complete; `totalBytes` when the format says it. */
  | { readonly kind: "end"; readonly totalBytes?: number }
  | { readonly kind: "lost"; readonly reason: string };

/** Turns the pieces of one body into events; a new one is needed for each connection. */
export interface OutputDecoder {
  push(piece: Uint8Array<ArrayBuffer>): Iterable<OutputEvent>;
  /** What the regular end of the body means. */
  finish(): Iterable<OutputEvent>;
}
