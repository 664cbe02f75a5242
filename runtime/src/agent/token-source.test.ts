import { describe, expect, it } from "vitest";
import { generateAgentKeys, verifyAgentToken } from "#core/agent-token.ts";
import { createTokenSource } from "./token-source.ts";

const { privateKey, publicKey } = await generateAgentKeys();
const MINUTE_MS = 60_000;

/** A source, and whether an agent takes what it gives now, by a clock that is so far from the gateway's. */
function source() {
  let nowMs = 1_700_000_000_000;
  const clock = { now: () => nowMs, sleep: () => Promise.resolve() };
  const token = createTokenSource(privateKey, "a", clock);
  return {
    pass: (ms: number): void => void (nowMs += ms),
    token,
    isTaken: async (apartMs: number) =>
      verifyAgentToken(publicKey, await token(), { agentId: "a", nowMs: nowMs + apartMs }),
  };
}

describe("createTokenSource()", () => {
  it("gives the same token for some minutes, and a new one long before that expires", async () => {
    const { pass, token } = source();
    const first = await token();
    pass(4 * MINUTE_MS);
    expect(await token()).toBe(first);
    pass(2 * MINUTE_MS);
    expect(await token()).not.toBe(first);
  });

  it("gives tokens that an agent takes at any time whose clock is minutes ahead", async () => {
    const { pass, isTaken } = source();
    for (let minute = 0; minute < 30; minute += 0.5) {
      expect(await isTaken(4 * MINUTE_MS)).toBe(true);
      pass(MINUTE_MS / 2);
    }
  });

  it("gives a new one when its own clock was set back", async () => {
    const { pass, token } = source();
    const first = await token();
    pass(-60 * MINUTE_MS);
    expect(await token()).not.toBe(first);
  });
});
