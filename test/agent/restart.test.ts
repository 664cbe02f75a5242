import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AgentHealth } from "#api/agent.ts";
import { collect, ended, exec, problemOf, shell, start, until } from "./client.ts";
import { startSandbox, type AgentSandbox } from "./sandbox.ts";

let sandbox: AgentSandbox;

beforeAll(async () => {
  sandbox = await startSandbox({ targets: [{ name: "main" }] });
}, 60_000);
afterAll(async () => sandbox?.[Symbol.asyncDispose]());

/** A request that reaches the socket of an agent just killed may get no answer at all, hence the deadline. */
async function health(): Promise<AgentHealth | undefined> {
  try {
    return AgentHealth.parse(await (await sandbox.fetch("/v1/health", { signal: AbortSignal.timeout(1000) })).json());
  } catch {
    return undefined;
  }
}

/** Kills the agent as root in a user's container can, and waits for the next one. */
async function killAgent(): Promise<void> {
  const before = await health();
  const killer =
    'for f in /proc/[0-9]*/comm; do if [ "$(cat $f)" = bun ]; then p=${f%/comm}; kill -9 ${p#/proc/}; fi; done';
  await sandbox.fetch("/v1/commands?container=main", {
    method: "POST",
    body: JSON.stringify({ id: randomUUID(), args: ["sh", "-c", `sleep 0.2; ${killer}`] }),
  });
  await until(health, (now) => now !== undefined && now.instance !== before?.instance);
}

describe("after a kill -9, the next agent", () => {
  test("knows results and output, and says what it cannot know", async () => {
    const done = await shell(sandbox, "head -c 5000000 /dev/zero; echo err >&2; exit 7");
    const killed = await start(sandbox, ["sleep", "1000"]);
    await sandbox.fetch(`/v1/commands/${killed}`, { method: "DELETE" });
    await ended(sandbox, killed);
    const running = await start(sandbox, ["sh", "-c", "echo partial; sleep 1000"]);
    await collect(sandbox, running, "stdout", { most: 8 });
    const request = {
      method: "POST",
      body: JSON.stringify({ id: running, args: ["sh", "-c", "echo partial; sleep 1000"] }),
    };
    await killAgent();

    expect(await ended(sandbox, done.id)).toEqual(done.command);
    const stdout = await collect(sandbox, done.id, "stdout");
    expect([stdout.bytes.length, stdout.bytes.every((byte) => byte === 0), stdout.ended]).toEqual([
      5_000_000,
      true,
      { kind: "end", totalBytes: 5_000_000 },
    ]);
    expect((await collect(sandbox, done.id, "stderr")).bytes.toString()).toBe("err\n");
    expect(await ended(sandbox, killed)).toMatchObject({ state: "exited", exitCode: -1, signal: 9, endedBy: "kill" });

    expect(await ended(sandbox, running)).toMatchObject({
      state: "unknown",
      exitCode: null,
      stdout: { first: 0, end: 8, complete: false },
    });
    const partial = await collect(sandbox, running, "stdout");
    expect([partial.bytes.toString(), partial.ended?.kind]).toEqual(["partial\n", "lost"]);
    expect((await collect(sandbox, running, "stderr")).ended?.kind).toBe("lost");
    expect(
      await problemOf(await sandbox.fetch(`/v1/commands/${running}/stdin`, { method: "POST", body: "x" })),
    ).toMatchObject({ status: 409, slug: "outcome-unknown" });

    const repeat = await sandbox.fetch("/v1/commands?container=main", request);
    expect([repeat.status, ((await repeat.json()) as { state: string }).state]).toEqual([202, "unknown"]);
    expect((await exec(sandbox, ["echo", "again"])).stdout).toBe("again\n");
  }, 60_000);

  test("cuts a stream that was being read, and does so without an end", async () => {
    const id = await start(sandbox, ["sh", "-c", "echo first; sleep 1000"]);
    const reading = collect(sandbox, id, "stdout").then(
      ({ ended: end }) => end,
      () => undefined,
    );
    await killAgent();
    expect(await reading).toBeUndefined();
  }, 60_000);
});
