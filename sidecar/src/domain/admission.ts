import { readAgentToken } from "#core/agent-token.ts";
import { ProblemError } from "#core/problem-error.ts";

const KEPT_TOKENS = 64;
/** Of the right form, signed by nobody. */
const WARM_UP_TOKEN = `A.${"A".repeat(86)}`;

export interface AdmissionOptions {
  readonly agentId: string;
  /** The gateway's public key, base64url. */
  readonly publicKey: string;
  readonly now: () => number;
}

/** Checks the bearer token of a request; throws `unauthorized`. A good token is checked once and remembered until it expires. */
export function createAdmission({ agentId, publicKey, now }: AdmissionOptions): (request: Request) => Promise<void> {
  const kept = new Map<string, number>();
  // The first check loads the runtime's cryptography, on a thread of its own: begun now, it is done before anybody asks.
  void readAgentToken(publicKey, WARM_UP_TOKEN, { agentId, nowMs: now() }).catch(() => undefined);
  return async (request) => {
    const token = /^Bearer (\S+)$/.exec(request.headers.get("authorization") ?? "")?.[1];
    if (token === undefined) throw new ProblemError("unauthorized", "The request has no bearer token.");
    if ((kept.get(token) ?? 0) > now()) return;
    kept.delete(token);
    const claims = await readAgentToken(publicKey, token, { agentId, nowMs: now() });
    if (claims === undefined) throw new ProblemError("unauthorized", "The token is not one for this agent now.");
    for (const oldest of kept.keys()) if (kept.size >= KEPT_TOKENS) kept.delete(oldest);
    kept.set(token, claims.expiresAtMs);
  };
}
