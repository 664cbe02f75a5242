/** SHA-256 of a text in hex, at once: the asynchronous one costs a turn through another thread. */
export function digestOf(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("hex");
}
