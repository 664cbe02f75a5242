import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { LEASES } from "#core/kubernetes/resources.ts";
import { call, createNamespace, findCluster } from "./cluster.ts";

const PROGRAM = join(import.meta.dirname, "../harness/leader-process.ts");
const WAIT = { timeout: 30_000, interval: 10 };
/** What the platform promises: a killed leader is followed within this. */
const HAND_OVER_MS = 5000;
/** Who ends in good order is followed before the lease would have run out. */
const LEASE_MS = 4000;

interface Note {
  readonly holder: string;
  readonly atMs: number;
}

let kubeconfig: string;
let client: KubeClient;
let namespace: string;
let removeNamespace: (() => Promise<unknown>) | undefined;
let folder: string;
let file: string;
const replicas = new Map<string, ChildProcess>();

beforeAll(async () => {
  const cluster = await findCluster();
  ({ kubeconfig } = cluster);
  client = cluster.client();
  [namespace, removeNamespace] = await createNamespace(client, "leader");
  folder = await mkdtemp(join(tmpdir(), "atoll-leader-"));
});
afterAll(async () => {
  await removeNamespace?.();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  file = join(folder, crypto.randomUUID());
  await writeFile(file, "");
  await client.remove(LEASES, { namespace, name: "leader" }, call());
});
afterEach(async () => {
  await Promise.all([...replicas.keys()].map((holder) => end(holder, "SIGKILL")));
});

function start(holder: string): void {
  const child = spawn(process.execPath, [PROGRAM, kubeconfig, namespace, holder, file], { stdio: "inherit" });
  replicas.set(holder, child);
}

async function end(holder: string, signal: NodeJS.Signals): Promise<void> {
  const child = replicas.get(holder);
  replicas.delete(holder);
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill(signal);
  if (signal === "SIGKILL") child.kill("SIGCONT");
  await exit;
}

async function notes(): Promise<Note[]> {
  const lines = (await readFile(file, "utf8")).split("\n").slice(0, -1);
  const all = lines.map((line) => line.split(" ")).map(([holder = "", at]) => ({ holder, atMs: Number(at) }));
  return all.toSorted((a, b) => a.atMs - b.atMs);
}

function nowMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}

/** First moment after `sinceMs` at which this replica might act. */
async function untilLeads(holder: string, sinceMs: number): Promise<number> {
  return vi.waitUntil(
    async () => (await notes()).find((note) => note.holder === holder && note.atMs > sinceMs)?.atMs,
    WAIT,
  );
}

/** Who might act, in the order of time, repetitions left out: one who comes back shows as a new term. */
async function terms(): Promise<string[]> {
  const all = await notes();
  return all.filter(({ holder }, i) => holder !== all[i - 1]?.holder).map(({ holder }) => holder);
}

describe("createLeadership() in processes of their own", () => {
  it("is followed within 5 s of kill -9", async () => {
    start("a");
    await untilLeads("a", 0);
    start("b");
    await standsBy("b");
    const killedMs = nowMs();
    await end("a", "SIGKILL");
    expect((await untilLeads("b", killedMs)) - killedMs).toBeLessThan(HAND_OVER_MS);
    expect(await terms()).toEqual(["a", "b"]);
  }, 60_000);

  it("hands over at once when it ends in good order", async () => {
    start("a");
    await untilLeads("a", 0);
    start("b");
    await standsBy("b");
    const endedMs = nowMs();
    await end("a", "SIGTERM");
    expect((await untilLeads("b", endedMs)) - endedMs).toBeLessThan(LEASE_MS);
    expect(await terms()).toEqual(["a", "b"]);
  }, 60_000);

  it("never acts while another may, though it was stopped and goes on", async () => {
    start("a");
    await untilLeads("a", 0);
    start("b");
    for (const [stopped, follower] of [
      ["a", "b"],
      ["b", "a"],
    ] as const) {
      const stoppedMs = nowMs();
      replicas.get(stopped)?.kill("SIGSTOP");
      await untilLeads(follower, stoppedMs);
      const resumedMs = nowMs();
      replicas.get(stopped)?.kill("SIGCONT");
      // The follower renews several times beside the one that came back.
      await untilLeads(follower, resumedMs + 3000);
    }
    expect(await terms()).toEqual(["a", "b", "a"]);
  }, 90_000);
});

/** A replica that has begun to watch the lease cannot be seen from outside: it has had time to start. */
async function standsBy(holder: string): Promise<void> {
  expect(replicas.has(holder)).toBe(true);
  const sinceMs = nowMs();
  await untilLeads("a", sinceMs + 3000);
}
