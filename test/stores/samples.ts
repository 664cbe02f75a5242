import { createHash, randomBytes } from "node:crypto";

const BLOCK = randomBytes(1 << 20);

/** Bytes that differ everywhere: no part can stand in for another. */
export function sample(sizeBytes: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  let state = seed;
  const words = new Uint32Array(Math.ceil(sizeBytes / 4));
  for (let at = 0; at < words.length; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    words[at] = state;
  }
  bytes.set(new Uint8Array(words.buffer, 0, sizeBytes));
  return bytes;
}

/** The bytes as a stream of chunks of a size. */
export async function* chunked(bytes: Uint8Array, chunkBytes = 65_536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
}

/** A long stream that is nowhere as a whole. */
export async function* endless(sizeBytes: number): AsyncGenerator<Uint8Array> {
  for (let left = sizeBytes, index = 0; left > 0; left -= BLOCK.length, index += 1) {
    const block = Buffer.from(BLOCK.subarray(0, Math.min(left, BLOCK.length)));
    block.writeUInt32LE(index % 2 ** 32, 0);
    yield block;
  }
}

export function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export async function collect(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
}
