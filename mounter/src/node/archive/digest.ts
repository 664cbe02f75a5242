import { createHash } from "node:crypto";

/** Digest and size of bytes that came by. */
export interface Sum {
  readonly digest: string;
  readonly bytes: number;
}

/** Sums up bytes while somebody else reads them. */
export interface Summing {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Whether the last byte has come by. */
  isDone(): boolean;
  /** Of all bytes; only after the last one. */
  sum(): Sum;
}

export function summing(source: AsyncIterable<Uint8Array>): Summing {
  const hash = createHash("sha256");
  let bytes = 0;
  let sum: Sum | undefined;

  async function* passed(): AsyncIterable<Uint8Array> {
    for await (const chunk of source) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
    sum = { digest: `sha256:${hash.digest("hex")}`, bytes };
  }

  return {
    chunks: passed(),
    isDone: () => sum !== undefined,
    sum() {
      if (sum === undefined) throw new Error("Not all bytes have come by");
      return sum;
    },
  };
}
