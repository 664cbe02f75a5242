import { describe, expect, it } from "vitest";
import { deriveAgentKey, generateMasterKey, proveAgent } from "#core/agent-proof.ts";
import { createManualClock } from "../../../test/harness/manual-clock.ts";
import type { AgentFetch } from "../backend/port.ts";
import { createProvenFetch } from "./proven-fetch.ts";

const KEY = await deriveAgentKey(generateMasterKey(), "own");
const OTHER_KEY = await deriveAgentKey(generateMasterKey(), "other");

/** An agent with this key, and what reached it. */
function agentWith(key: () => string | undefined): { fetch: AgentFetch; seen: string[] } {
  const seen: string[] = [];
  const fetch: AgentFetch = async (request) => {
    const body = await request.text();
    const { pathname } = new URL(request.url);
    seen.push(body === "" ? `${request.method} ${pathname}` : `${request.method} ${pathname} ${body}`);
    const held = key();
    const nonce = request.headers.get("x-atoll-nonce") ?? "";
    const headers = held === undefined ? {} : { "x-atoll-proof": await proveAgent(held, nonce) };
    return new Response("answer", { headers });
  };
  return { fetch, seen };
}

const post = (body: string): Request => new Request("http://agent/v1/commands", { method: "POST", body });
const get = (): Request => new Request("http://agent/v1/commands/1");

describe("createProvenFetch()", () => {
  it("gives the answer of the agent that has the key, and asks it nothing in between", async () => {
    const { fetch, seen } = agentWith(() => KEY);
    const send = createProvenFetch(fetch, { key: KEY, clock: createManualClock() });
    expect(await (await send(get())).text()).toBe("answer");
    expect(await (await send(post("a"))).text()).toBe("answer");
    expect(seen).toEqual(["GET /v1/commands/1", "POST /v1/commands a"]);
  });

  it.each([
    { what: "another sandbox's agent", key: OTHER_KEY },
    { what: "who knows nothing of proofs", key: undefined },
  ])("gives no body to $what, and believes no answer of it", async ({ key }) => {
    const { fetch, seen } = agentWith(() => key);
    const send = createProvenFetch(fetch, { key: KEY, clock: createManualClock() });
    await expect(send(post("secret"))).rejects.toMatchObject({ slug: "agent-unreachable" });
    await expect(send(get())).rejects.toThrow("without the agent's proof");
    expect(seen.join()).not.toContain("secret");
  });

  it("asks for a proof first when the last one is older than a second", async () => {
    const clock = createManualClock();
    const { fetch, seen } = agentWith(() => KEY);
    const send = createProvenFetch(fetch, { key: KEY, clock });
    await send(post("a"));
    await clock.advance(1000);
    await send(post("b"));
    await clock.advance(1001);
    await send(post("c"));
    const [health, a, b, c] = ["GET /v1/health", ...["a", "b", "c"].map((body) => `POST /v1/commands ${body}`)];
    expect(seen).toEqual([health, a, b, health, c]);
  });

  it("holds no proof for fresh that is from after the present, as one is when the machine's clock was set back", async () => {
    let nowMs = 1_700_000_000_000;
    const clock = { ...createManualClock(), now: () => nowMs };
    let key = KEY;
    const { fetch, seen } = agentWith(() => key);
    const send = createProvenFetch(fetch, { key: KEY, clock });
    await send(get());
    nowMs -= 3_600_000;
    key = OTHER_KEY;
    await expect(send(post("secret"))).rejects.toMatchObject({ slug: "agent-unreachable" });
    expect(seen.join()).not.toContain("secret");
  });

  it("asks anew after an answer without a proof", async () => {
    let key: string | undefined = KEY;
    const { fetch, seen } = agentWith(() => key);
    const send = createProvenFetch(fetch, { key: KEY, clock: createManualClock() });
    await send(get());
    key = OTHER_KEY;
    await expect(send(get())).rejects.toThrow();
    await expect(send(post("secret"))).rejects.toMatchObject({ slug: "agent-unreachable" });
    expect(seen.join()).not.toContain("secret");
  });

  it("ends with the caller's reason when the caller goes away while a proof is waited for", async () => {
    const silent: AgentFetch = (request) =>
      new Promise((_resolve, reject) =>
        request.signal.addEventListener("abort", () => reject(request.signal.reason), { once: true }),
      );
    const send = createProvenFetch(silent, { key: KEY, clock: createManualClock() });
    const caller = new AbortController();
    const sending = send(new Request(post("a"), { signal: caller.signal }));
    caller.abort(new Error("gone away"));
    await expect(sending).rejects.toThrow("gone away");
  });

  it("asks once more when a kept connection broke", async () => {
    const { fetch, seen } = agentWith(() => KEY);
    let breaks = 1;
    const flaky: AgentFetch = (request) => {
      if (breaks-- > 0) return Promise.reject(new Error("reset"));
      return fetch(request);
    };
    const send = createProvenFetch(flaky, { key: KEY, clock: createManualClock() });
    expect((await send(post("a"))).status).toBe(200);
    expect(seen).toEqual(["GET /v1/health", "POST /v1/commands a"]);
  });
});
