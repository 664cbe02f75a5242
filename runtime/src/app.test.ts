import { describe, expect, it } from "vitest";
import { FILE_SIZE_HEADER } from "#api/agent.ts";
import { toHex } from "#core/hex.ts";
import { sha256 } from "#core/ids.ts";
import { createManualClock } from "../../test/harness/manual-clock.ts";
import { gatewayFixture } from "../test/gateway-fixture.ts";
import type { Call, SandboxBackend } from "./backend/port.ts";
import { createMemoryBackend } from "./backend/memory/create-memory-backend.ts";

const BODY = { podTemplate: { containers: [{ image: "img" }] } };
const SLOW = { podTemplate: { containers: [{ image: "slow.invalid/img" }] } };

describe("createApp() with API keys", async () => {
  const config = { apiKeyHashes: [toHex(await sha256("first")), toHex(await sha256("second"))] };

  it.each(["first", "second"])("lets the key %s in, whatever the host", async (key) => {
    const { send } = gatewayFixture({ config });
    const answer = await send("/v1/sandboxes", {
      headers: { Authorization: `Bearer ${key}`, Host: "gateway.example", Origin: "http://a.example" },
    });
    expect(answer.status).toBe(200);
  });

  it("answers a missing and a wrong key alike", async () => {
    const { send, lines } = gatewayFixture({ config });
    const answers = await Promise.all(
      [undefined, "Bearer wrong", "Bearer ", "Basic Zmlyc3Q=", "first", `Bearer ${config.apiKeyHashes[0]}`].map(
        async (value) => {
          const answer = await send("/v1/sandboxes", {
            headers: { "X-Request-Id": "r", ...(value === undefined ? {} : { Authorization: value }) },
          });
          return [answer.status, answer.headers.get("www-authenticate"), await answer.text()];
        },
      ),
    );
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(answers[0]?.slice(0, 2)).toEqual([401, 'Bearer realm="atoll"']);
    expect(JSON.stringify(lines)).not.toContain("wrong");
  });

  it.each(["/health", "/ready", "/version", "/openapi.json", "/docs"])("needs none for %s", async (path) => {
    expect((await gatewayFixture({ config }).send(path)).status).toBe(200);
  });

  it("needs one for a path that is not there", async () => {
    expect((await gatewayFixture({ config }).send("/nowhere")).status).toBe(401);
  });
});

describe("createApp()", () => {
  it("answers a create as Pending after the bounded wait, and keeps the sandbox", async () => {
    const clock = createManualClock();
    const backend = createMemoryBackend({ clock });
    const { sendJson, send } = gatewayFixture({ clock, backend });
    const creating = sendJson("/v1/sandboxes", SLOW);
    const startedMs = clock.now();
    const answer = await clock.runUntil(creating);
    expect(clock.now() - startedMs).toBeGreaterThanOrEqual(10_000);
    const sandbox = (await answer.json()) as { id: string; status: string };
    expect([answer.status, sandbox.status]).toEqual([201, "Pending"]);
    expect((await send(`/v1/sandboxes/${sandbox.id}`)).status).toBe(200);
  });

  it("confirms a provisional sandbox before it answers; one with a key is none", async () => {
    const memory = createMemoryBackend();
    const calls: string[] = [];
    const backend: SandboxBackend = {
      ...memory,
      async create(request, call) {
        calls.push(`create ${request.provisional === true}`);
        return memory.create(request, call);
      },
      async confirm(id, call: Call) {
        calls.push("confirm");
        return memory.confirm(id, call);
      },
    };
    const { sendJson } = gatewayFixture({ backend });
    await sendJson("/v1/sandboxes", BODY);
    await sendJson("/v1/sandboxes", BODY, { headers: { "Idempotency-Key": "k" } });
    expect(calls).toEqual(["create true", "confirm", "create false"]);
  });

  it.each([
    { key: undefined, left: 0 },
    { key: "k", left: 1 },
  ])("after a caller that went away with the key $key leaves $left sandboxes", async ({ key, left }) => {
    const backend = createMemoryBackend();
    const { sendJson, send } = gatewayFixture({ backend });
    const caller = new AbortController();
    const headers: Record<string, string> = key === undefined ? {} : { "Idempotency-Key": key };
    const creating = sendJson("/v1/sandboxes", SLOW, { signal: caller.signal, headers });
    await new Promise((resolve) => setImmediate(resolve));
    caller.abort();
    await creating.catch(() => undefined);
    await new Promise((resolve) => setImmediate(resolve));
    expect(((await (await send("/v1/sandboxes")).json()) as { sandboxes: [] }).sandboxes).toHaveLength(left);
  });

  it("says 429 with Retry-After when a sandbox has its streams, and gives places back", async () => {
    const { sendJson, send } = gatewayFixture({ config: { maxStreamsPerSandbox: 1 } });
    const { id } = (await (await sendJson("/v1/sandboxes", BODY)).json()) as { id: string };
    const command = (await (await sendJson(`/v1/sandboxes/${id}/commands`, { args: ["cat"] })).json()) as {
      id: string;
    };
    const path = `/v1/sandboxes/${id}/commands/${command.id}`;
    const first = await send(`${path}/stdout`);
    const second = await send(`${path}/stderr`);
    expect([second.status, second.headers.get("retry-after")]).toEqual([429, "1"]);
    await first.body?.cancel();
    const third = await send(`${path}/stderr`);
    expect(third.status).toBe(200);
    await third.body?.cancel();
    await send(`${path}/stdout`, { method: "HEAD" });
    expect((await send(`${path}/missing`)).status).toBe(404);
    const fourth = await send(`${path}/stdout`);
    expect(fourth.status).toBe(200);
    await fourth.body?.cancel();
  });

  it("logs a refusal at info and a failure once at error with its cause, and tells the caller nothing of it", async () => {
    const memory = createMemoryBackend();
    const backend: SandboxBackend = {
      ...memory,
      get: () => Promise.reject(new Error("connection string with a secret")),
    };
    const { send, lines } = gatewayFixture({ backend });
    const answer = await send("/v1/sandboxes/abc");
    expect([answer.status, (await answer.text()).includes("secret")]).toEqual([500, false]);
    await send("/nowhere");
    expect(lines.filter(({ level }) => level === "error")).toEqual([
      expect.objectContaining({
        message: "request failed",
        cause: expect.objectContaining({ message: "connection string with a secret" }),
      }),
    ]);
    expect(lines.filter(({ level }) => level === "info")).toHaveLength(1);
  });

  it("believes of an agent's problem only what an agent may say", async () => {
    const memory = createMemoryBackend();
    const answers = [
      {
        body: { type: "urn:atoll:problem:unauthorized", title: "t", status: 401, detail: "give me your key" },
        expected: [502, "agent-unreachable"],
      },
      {
        body: {
          type: "urn:atoll:problem:file-not-found",
          title: "t",
          status: 200,
          detail: `a\u001b[31m${"x".repeat(3000)}`,
        },
        expected: [404, "file-not-found"],
      },
      { body: "not json", expected: [502, "agent-unreachable"] },
      { body: "x".repeat(1 << 20), expected: [502, "agent-unreachable"] },
    ];
    for (const { body, expected } of answers) {
      const text = typeof body === "string" ? body : JSON.stringify(body);
      const backend: SandboxBackend = { ...memory, agent: async () => async () => new Response(text, { status: 418 }) };
      const { send } = gatewayFixture({ backend });
      const answer = await send("/v1/sandboxes/abc/filesystem?path=/x");
      const problem = (await answer.json()) as { type: string; detail: string };
      expect([answer.status, problem.type.split(":").at(-1)]).toEqual(expected);
      expect(problem.detail).not.toContain("give me");
      expect(problem.detail).not.toContain("\u001b");
      expect(problem.detail.length).toBeLessThanOrEqual(1000);
    }
  });

  it.each([
    { what: "status, which can be repeated, is a 502", path: "/status", init: {}, status: 502 },
    {
      what: "standard input, which cannot, is a 500",
      path: "/stdin",
      init: { method: "POST", body: "x" },
      status: 500,
    },
  ])("a broken connection to the agent on $what", async ({ path, init, status }) => {
    const backend: SandboxBackend = {
      ...createMemoryBackend(),
      agent: async () => () => Promise.reject(new TypeError("socket hang up")),
    };
    const { send } = gatewayFixture({ backend });
    expect((await send(`/v1/sandboxes/abc/commands/${crypto.randomUUID()}${path}`, init)).status).toBe(status);
  });

  it("gives up on an agent that does not answer", async () => {
    const clock = createManualClock();
    const agent = (request: Request): Promise<Response> =>
      new Promise((_, reject) => request.signal.addEventListener("abort", () => reject(request.signal.reason)));
    const { send } = gatewayFixture({ clock, backend: { ...createMemoryBackend(), agent: async () => agent } });
    const asking = send(`/v1/sandboxes/abc/commands/${crypto.randomUUID()}/status?waitSeconds=20`);
    const startedMs = clock.now();
    expect((await clock.runUntil(asking)).status).toBe(502);
    expect(clock.now() - startedMs).toBeGreaterThanOrEqual(30_000);
  });

  it("gives up on an agent that begins its answer and does not end it", async () => {
    const clock = createManualClock();
    const agent = async (request: Request): Promise<Response> => {
      const body = new ReadableStream({
        start: (stream) => request.signal.addEventListener("abort", () => stream.error(request.signal.reason)),
      });
      return new Response(body, { status: 200 });
    };
    const { send } = gatewayFixture({ clock, backend: { ...createMemoryBackend(), agent: async () => agent } });
    const asking = send(`/v1/sandboxes/abc/commands/${crypto.randomUUID()}/status`);
    expect((await clock.runUntil(asking)).status).toBe(502);
  });

  it.each([
    { promised: "5", sent: "abc" },
    { promised: "2", sent: "abc" },
  ])("breaks a download of other than the promised $promised bytes", async ({ promised, sent }) => {
    const answer = new Response(sent, { headers: { [FILE_SIZE_HEADER]: promised } });
    const { send } = gatewayFixture({ backend: { ...createMemoryBackend(), agent: async () => async () => answer } });
    const download = await send("/v1/sandboxes/abc/filesystem?path=/x");
    await expect(download.text()).rejects.toThrow();
  });

  it("tells a file's size as the length, and passes on nothing else of what an agent says", async () => {
    const headers = { [FILE_SIZE_HEADER]: "3", "Set-Cookie": "a=b", "Content-Type": "text/html" };
    const agent = async (): Promise<Response> => new Response("abc", { headers });
    const { send } = gatewayFixture({ backend: { ...createMemoryBackend(), agent: async () => agent } });
    const download = await send("/v1/sandboxes/abc/filesystem?path=/x");
    expect([await download.text(), Object.fromEntries(download.headers)]).toEqual([
      "abc",
      {
        "cache-control": "no-cache, private",
        "content-length": "3",
        "content-type": "application/octet-stream",
        "x-content-type-options": "nosniff",
        "x-request-id": expect.any(String),
      },
    ]);
  });
});
