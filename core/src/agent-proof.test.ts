import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  checkAgentProof,
  deriveAgentKey,
  generateMasterKey,
  generateNonce,
  isAgentKey,
  isNonce,
  proveAgent,
} from "./agent-proof.ts";

const MASTER = Buffer.alloc(32, 7).toString("base64url");
const code = (key: string, text: string): string =>
  createHmac("sha256", Buffer.from(key, "base64url")).update(text).digest("base64url");

describe("deriveAgentKey()", () => {
  it("is the HMAC of the agent's id with the master key", async () => {
    expect(await deriveAgentKey(MASTER, "a-uid")).toBe(code(MASTER, "atoll-agent:a-uid"));
  });

  it.each(["", "short", `${MASTER}A`, MASTER.replace(/.$/, "B"), `${MASTER}=`])(
    "refuses a master key that is none: %s",
    async (key) => {
      await expect(deriveAgentKey(key, "a-uid")).rejects.toThrow(RangeError);
    },
  );
});

describe("proveAgent() and checkAgentProof()", () => {
  it("agree, and on the documented code", async () => {
    const key = await deriveAgentKey(generateMasterKey(), "a-uid");
    const nonce = generateNonce();
    const proof = await proveAgent(key, nonce);
    expect(proof).toBe(code(key, `atoll-proof:${nonce}`));
    expect(await checkAgentProof(key, nonce, proof)).toBe(true);
  });

  it("refuse the proof of another sandbox, of another nonce, and anything else", async () => {
    const [own, other] = await Promise.all([deriveAgentKey(MASTER, "a"), deriveAgentKey(MASTER, "b")]);
    const nonce = generateNonce();
    expect(await checkAgentProof(own, nonce, await proveAgent(other, nonce))).toBe(false);
    expect(await checkAgentProof(own, nonce, await proveAgent(own, generateNonce()))).toBe(false);
    const right = await proveAgent(own, nonce);
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), fc.stringMatching(/^[A-Za-z0-9_-]{42,44}$/)), async (text) => {
        expect(await checkAgentProof(own, nonce, text)).toBe(text === right);
      }),
    );
  });
});

describe("isNonce() and isAgentKey()", () => {
  it("take what is generated and nothing of another length or alphabet", () => {
    for (let i = 0; i < 100; i += 1) {
      expect(isNonce(generateNonce())).toBe(true);
      expect(isAgentKey(generateMasterKey())).toBe(true);
    }
    const nonce = "AAAAAAAAAAAAAAAAAAAAAA";
    expect(isNonce(nonce)).toBe(true);
    for (const text of [
      "",
      nonce.slice(1),
      `${nonce}A`,
      `${nonce}\n`,
      nonce.replace(/.$/, "="),
      nonce.replace(/.$/, "B"),
    ])
      expect(isNonce(text)).toBe(false);
  });
});
