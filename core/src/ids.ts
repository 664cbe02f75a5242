/** Source of randomness: names and secrets come from here, so that tests can choose them. */
export interface Ids {
  /** 22 characters, the first a letter, the rest letters and digits: name of a sandbox or snapshot. */
  sandboxId(): string;
  /** UUID version 4 of a command. */
  commandId(): string;
  /** `count` random bytes. */
  bytes(count: number): Uint8Array;
}

const LETTERS = "abcdefghijklmnopqrstuvwxyz";
const LETTERS_AND_DIGITS = `${LETTERS}0123456789`;

/** Ids from the runtime's cryptographic generator. */
export const cryptoIds: Ids = {
  sandboxId: () => idFromBytes(crypto.getRandomValues(new Uint8Array(64))),
  commandId: () => crypto.randomUUID(),
  bytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
};

/** Maps at least 40 uniformly random bytes to a sandbox id without modulo bias; deterministic for given bytes. */
export function idFromBytes(bytes: Uint8Array): string {
  let id = "";
  for (const byte of bytes) {
    const alphabet = id === "" ? LETTERS : LETTERS_AND_DIGITS;
    const limit = 256 - (256 % alphabet.length);
    if (byte >= limit) continue;
    id += alphabet[byte % alphabet.length];
    if (id.length === 22) return id;
  }
  throw new RangeError("Cannot make a sandbox id: too few random bytes, at least 40 are needed");
}

/** SHA-256 of text as bytes: ids that follow from an idempotency key. */
export async function sha256(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}
