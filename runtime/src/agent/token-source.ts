import { signAgentToken } from "#core/agent-token.ts";
import type { Clock } from "#core/clock.ts";

const TOKEN_LIFE_MS = 10 * 60_000;
/** Clocks of nodes are apart, and an agent goes by its own. */
const USED_MS = TOKEN_LIFE_MS / 2;

/** Tokens for one agent, each used for the first half of its life. */
export function createTokenSource(privateKey: string, agentId: string, clock: Clock): () => Promise<string> {
  let token: Promise<string> | undefined;
  let madeAtMs = 0;
  return () => {
    const nowMs = clock.now();
    // One from later than now was made before the clock was set back, and agents may know better.
    if (token === undefined || nowMs > madeAtMs + USED_MS || nowMs < madeAtMs) {
      madeAtMs = nowMs;
      token = signAgentToken(privateKey, { agentId, expiresAtMs: nowMs + TOKEN_LIFE_MS });
    }
    return token;
  };
}
