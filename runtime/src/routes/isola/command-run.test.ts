import { expect, test } from "vitest";
import { FRAME_MEDIA_TYPE } from "#api/agent-protocol.ts";
import type { AgentCommand } from "#api/agent.ts";
import { encodeExitedFrame } from "#core/run-frames.ts";
import { createMemoryBackend } from "#runtime/backend/memory/create-memory-backend.ts";
import { gatewayFixture } from "../../../test/gateway-fixture.ts";

const END = encodeExitedFrame({ exitCode: 3, stdoutBytes: 0, stderrBytes: 0 });
const PATH = "/v1/sandboxes/box/commands";

/** A gateway whose sandboxes all have this agent. */
function gatewayOver(agent: (request: Request) => Response | Promise<Response>) {
  const backend = { ...createMemoryBackend(), agent: async () => async (request: Request) => agent(request) };
  const { sendJson } = gatewayFixture({ backend, config: { maxStreamsPerSandbox: 1 } });
  return (headers: Record<string, string> = {}): Promise<Response> =>
    sendJson(PATH, { args: ["true"] }, { headers: { Accept: FRAME_MEDIA_TYPE, ...headers } });
}

function frames(body: BodyInit, headers: Record<string, string> = {}): Response {
  return new Response(body, { headers: { "Content-Type": FRAME_MEDIA_TYPE, ...headers } });
}

test("a run that the agent sends in one piece is passed on in one, and leaves no stream open", async () => {
  const start = gatewayOver(() => frames(END, { "Content-Length": `${END.length}` }));
  for (let round = 0; round < 3; round += 1) {
    const answer = await start();
    expect([answer.status, answer.headers.get("content-type")]).toEqual([200, FRAME_MEDIA_TYPE]);
    expect(answer.headers.get("x-command-id")).toMatch(/^[0-9a-f-]{36}$/);
    expect(new Uint8Array(await answer.arrayBuffer())).toEqual(END);
  }
});

test("a run of a promised size that comes short is no run: a client may repeat what has a key", async () => {
  const start = gatewayOver(() => frames(END.subarray(0, 9), { "Content-Length": `${END.length}` }));
  for (let round = 0; round < 3; round += 1) {
    expect((await start({ "Idempotency-Key": "k" })).status).toBe(502);
    expect((await start()).status).toBe(500);
  }
});

test("a run of more bytes than promised is left at once: no more of them is kept", async () => {
  let given = 0;
  const start = gatewayOver(() => {
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        given += 1;
        controller.enqueue(new Uint8Array(1 << 16));
      },
    });
    return frames(endless, { "Content-Length": "100000" });
  });
  expect((await start({ "Idempotency-Key": "k" })).status).toBe(502);
  expect(given).toBeLessThan(8);
});

test("a run that breaks off breaks its answer", async () => {
  const start = gatewayOver(() => {
    const broken = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.error(new Error("The connection was cut"));
      },
    });
    return frames(broken);
  });
  await expect((await start()).arrayBuffer()).rejects.toThrow();
  expect((await start()).status).toBe(200);
});

test("an agent that only starts commands is answered for with the id", async () => {
  const stream = { first: 0, end: 0, complete: false };
  const start = gatewayOver(async (request) => {
    const { id } = (await request.json()) as { id: string };
    const command: AgentCommand = {
      id,
      container: "main",
      state: "running",
      exitCode: null,
      signal: null,
      endedBy: null,
      stdout: stream,
      stderr: stream,
    };
    return Response.json(command, { status: 202 });
  });
  for (let round = 0; round < 2; round += 1) {
    const answer = await start();
    expect([answer.status, await answer.json()]).toEqual([202, { id: expect.stringMatching(/^[0-9a-f-]{36}$/) }]);
  }
});
