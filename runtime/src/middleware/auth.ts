import type { MiddlewareHandler } from "hono";
import { fromHex } from "#core/hex.ts";
import { sha256 } from "#core/ids.ts";
import { ProblemError } from "#core/problem-error.ts";
import type { GatewayEnv } from "../gateway.ts";

const BEARER = /^Bearer +([\x21-\x7e]{1,4096})$/i;

/** Asks for one of the keys whose SHA-256 are given, but for public paths. Missing and wrong are answered alike. */
export function requireKey(hashes: readonly string[], publicPaths: ReadonlySet<string>): MiddlewareHandler<GatewayEnv> {
  const known = hashes.map((hash) => {
    const bytes = fromHex(hash);
    if (bytes?.length !== 32) throw new RangeError("Cannot use an API key hash: it is not a SHA-256 in hex");
    return bytes;
  });
  return async (c, next) => {
    if (!publicPaths.has(c.req.path)) {
      const key = BEARER.exec(c.req.header("authorization") ?? "")?.[1] ?? "";
      if (!isKnown(known, await sha256(key)) || key === "")
        throw new ProblemError("unauthorized", "A valid API key is needed.");
    }
    await next();
  };
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
