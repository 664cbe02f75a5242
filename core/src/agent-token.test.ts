import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { generateAgentKeys, readAgentToken, signAgentToken, verifyAgentToken, type AgentKeys } from "./agent-token.ts";

const NOW_MS = 1_800_000_000_000;
const claims = { agentId: "k3v9", expiresAtMs: NOW_MS + 60_000 };
const expected = { agentId: "k3v9", nowMs: NOW_MS };
let keys: AgentKeys;
let token: string;

beforeAll(async () => {
  keys = await generateAgentKeys();
  token = await signAgentToken(keys.privateKey, claims);
});

describe("verifyAgentToken()", () => {
  test("accepts a token signed for this agent", async () => {
    expect(await verifyAgentToken(keys.publicKey, token, expected)).toBe(true);
    expect(await readAgentToken(keys.publicKey, token, expected)).toEqual(claims);
  });

  test("refuses from the moment of expiry on", async () => {
    expect(await verifyAgentToken(keys.publicKey, token, { ...expected, nowMs: claims.expiresAtMs - 1 })).toBe(true);
    expect(await verifyAgentToken(keys.publicKey, token, { ...expected, nowMs: claims.expiresAtMs })).toBe(false);
  });

  test("refuses a token of another agent and one of another key", async () => {
    const other = await generateAgentKeys();
    expect(await verifyAgentToken(keys.publicKey, token, { ...expected, agentId: "k3v8" })).toBe(false);
    expect(await verifyAgentToken(other.publicKey, token, expected)).toBe(false);
  });

  test("refuses a token with any one character changed", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.constantFrom(..."AQgw-_.09=+/ é"), async (at, character) => {
        const index = at % token.length;
        const changed = token.slice(0, index) + character + token.slice(index + 1);
        fc.pre(changed !== token);
        expect(await verifyAgentToken(keys.publicKey, changed, expected)).toBe(false);
      }),
    );
  });

  test("refuses a second spelling of the same signature", async () => {
    const last = token.at(-1) ?? "";
    const next = String.fromCharCode(last.charCodeAt(0) + 1);
    expect(await verifyAgentToken(keys.publicKey, token.slice(0, -1) + next, expected)).toBe(false);
  });

  test.each(["", ".", "a.b", `.${"A".repeat(86)}`, `${"A".repeat(2000)}.${"A".repeat(86)}`, "null"])(
    "refuses %j",
    async (text) => {
      expect(await verifyAgentToken(keys.publicKey, text, expected)).toBe(false);
    },
  );

  test("refuses a well-signed payload that is not a claims object", async () => {
    const bent = await signAgentToken(keys.privateKey, { agentId: "k3v9" } as typeof claims);
    expect(await verifyAgentToken(keys.publicKey, bent, expected)).toBe(false);
  });
});
