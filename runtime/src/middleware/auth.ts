import { getPath } from "hono/utils/url";
import { fromHex } from "#core/hex.ts";
import { sha256 } from "#core/ids.ts";
import { ProblemError } from "#core/problem-error.ts";

const BEARER = /^Bearer +([\x21-\x7e]{1,4096})$/i;

/** The API keys that are good now. */
export interface ApiKeys {
  /** SHA-256 of each; with none of them nobody comes in. */
  digests(): readonly Uint8Array[];
}

/** Keys that stay the same, by their SHA-256 in hex. */
export function fixedKeys(hashes: readonly string[]): ApiKeys {
  const known = hashes.map((hash) => {
    const bytes = fromHex(hash);
    if (bytes?.length !== 32) throw new RangeError("Cannot use an API key hash: it is not a SHA-256 in hex");
    return bytes;
  });
  return { digests: () => known };
}

/** Asks for one of the keys, but for public paths. Missing and wrong are answered alike. */
export function requireKey(
  keys: ApiKeys,
  publicPaths: ReadonlySet<string>,
): (request: Request) => Promise<void> | undefined {
  const check = async (request: Request): Promise<void> => {
    const key = BEARER.exec(request.headers.get("authorization") ?? "")?.[1] ?? "";
    if (!isKnown(keys.digests(), await sha256(key)) || key === "")
      throw new ProblemError("unauthorized", "A valid API key is needed.");
  };
  // The router's own reading of the path: what is public here is public there.
  return (request) => (publicPaths.has(getPath(request)) ? undefined : check(request));
}

/** Looks at every byte of every hash, so that time tells nothing about them. */
function isKnown(known: readonly Uint8Array[], digest: Uint8Array): boolean {
  let found = 0;
  for (const hash of known) {
    let difference = 0;
    for (let i = 0; i < digest.length; i += 1) difference |= (hash[i] ?? 0) ^ (digest[i] ?? 0);
    found |= difference === 0 ? 1 : 0;
  }
  return found === 1;
}
