import { signAgentToken } from "#core/agent-token.ts";
import type { Clock } from "#core/clock.ts";

const TOKEN_LIFE_MS = 10 * 60_000;
const RENEW_BEFORE_MS = 60_000;

/** Tokens for one agent, each used until shortly before it expires. */
export function createTokenSource(privateKey: string, agentId: string, clock: Clock): () => Promise<string> {
  let token: Promise<string> | undefined;
  let expiresAtMs = 0;
  return () => {
    if (token === undefined || clock.now() > expiresAtMs - RENEW_BEFORE_MS) {
      expiresAtMs = clock.now() + TOKEN_LIFE_MS;
      token = signAgentToken(privateKey, { agentId, expiresAtMs });
    }
    return token;
  };
}
