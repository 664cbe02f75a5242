import process from "node:process";
import { createMemoryBackend } from "#runtime/backend/memory/create-memory-backend.ts";
import { createAgentFetch } from "#runtime/agent/node/agent-fetch.ts";
import type { SandboxBackend } from "#runtime/backend/port.ts";
import { gatewayFixture } from "../gateway-fixture.ts";

/** How an answer ended: with an error status, whole, broken in the middle, or still going when the reader had enough. */
export interface Outcome {
  readonly status: number;
  readonly end: "refused" | "whole" | "broken" | "enough";
  readonly bytes: number;
}

export interface Report {
  /** By attack, then by route. */
  readonly outcomes: Readonly<Record<string, Readonly<Record<string, Outcome>>>>;
  /** Growth of the process's memory meanwhile. */
  readonly grownBytes: number;
}

/** A reader has enough after so much, or after so long of a stream that may go on for ever. */
const ENOUGH_BYTES = 1 << 20;
const ENOUGH_MS = 1000;
const BRIEF_MS = 250;
const FRAMES = { Accept: "application/vnd.atoll.frames" };
const ID = "11111111-2222-8333-8444-555555555555";

/** `socketOf` an attack's agent is `<directory>/<its place in the list>`. */
async function main(directory: string, names: readonly string[]): Promise<Report> {
  const beforeBytes = process.memoryUsage().rss;
  const outcomes = await Promise.all(
    names.map(async (name, at) => [name, await sufferAll(`${directory}/${at}`)] as const),
  );
  return { outcomes: Object.fromEntries(outcomes), grownBytes: process.memoryUsage().rss - beforeBytes };
}

async function sufferAll(socketPath: string): Promise<Record<string, Outcome>> {
  const memory = createMemoryBackend();
  const connection = createAgentFetch({ address: { socketPath }, token: async () => "token" });
  const backend: SandboxBackend = { ...memory, agent: async () => connection.fetch };
  const { send, sendJson } = gatewayFixture({
    backend,
    config: { agentAnswerMs: BRIEF_MS, stallMs: BRIEF_MS, heartbeatMs: 100, firstFrameMs: 50 },
  });
  const made = await sendJson("/v1/sandboxes", { podTemplate: { containers: [{ image: "base" }] } });
  const { id } = (await made.json()) as { id: string };
  const base = `/v1/sandboxes/${id}`;
  const args = { args: ["true"] };
  const routes: Record<string, () => Promise<Response>> = {
    status: () => send(`${base}/commands/${ID}/status`),
    start: () => sendJson(`${base}/commands`, args),
    run: () => sendJson(`${base}/commands`, args, { headers: FRAMES }),
    events: () => send(`${base}/commands/${ID}/stdout`),
    frames: () => send(`${base}/commands/${ID}/stdout`, { headers: FRAMES }),
    kill: () => send(`${base}/commands/${ID}`, { method: "DELETE" }),
    download: () => send(`${base}/filesystem?path=/x`),
  };
  const all: Record<string, Outcome> = {};
  for (const [name, ask] of Object.entries(routes)) all[name] = await outcomeOf(await ask());
  connection.close();
  return all;
}

async function outcomeOf(response: Response): Promise<Outcome> {
  const { status } = response;
  let bytes = 0;
  const reader = response.body?.getReader();
  const late = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), ENOUGH_MS));
  try {
    for (;;) {
      const next = await Promise.race([reader?.read() ?? { done: true, value: undefined }, late]);
      if (next === undefined || bytes > ENOUGH_BYTES) {
        await reader?.cancel();
        return { status, end: "enough", bytes };
      }
      if (next.done) return { status, end: status >= 400 ? "refused" : "whole", bytes };
      bytes += next.value?.length ?? 0;
    }
  } catch {
    return { status, end: "broken", bytes };
  }
}

const [directory = "", ...names] = process.argv.slice(2);
process.stdout.write(`${JSON.stringify(await main(directory, names))}\n`);
process.exit(0);
