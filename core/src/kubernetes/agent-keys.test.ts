import { describe, expect, it } from "vitest";
import { generateMasterKey } from "../agent-proof.ts";
import { generateAgentKeys } from "../agent-token.ts";
import { readAgentKeys } from "./agent-keys.ts";

const { privateKey, publicKey } = await generateAgentKeys();
const keys = { gatewayPrivateKey: privateKey, gatewayPublicKey: publicKey, agentMasterKey: generateMasterKey() };
const encoded = Object.fromEntries(Object.entries(keys).map(([name, value]) => [name, btoa(value)]));

describe("readAgentKeys()", () => {
  it("reads what generateAgentKeys() and generateMasterKey() gave", () => {
    expect(readAgentKeys({ data: encoded })).toEqual(keys);
  });

  it.each([
    { what: "an empty secret", data: undefined },
    { what: "a missing key", data: { ...encoded, agentMasterKey: "" } },
    { what: "what is not base64", data: { ...encoded, gatewayPublicKey: "?" } },
    { what: "a master key of another length", data: { ...encoded, agentMasterKey: btoa("A".repeat(44)) } },
    { what: "a key with a line break", data: { ...encoded, gatewayPublicKey: btoa(`${publicKey}\n`) } },
  ])("has no keys in $what", ({ data }) => {
    expect(readAgentKeys(data === undefined ? {} : { data })).toBeUndefined();
  });
});
