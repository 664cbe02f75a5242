import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { collect, ended, exec, killAgent, problemOf, shell, start } from "./client.ts";
import { startSandbox, type AgentSandbox } from "./sandbox.ts";

let sandbox: AgentSandbox;

beforeAll(async () => {
  sandbox = await startSandbox({ targets: [{ name: "main" }] });
}, 60_000);
afterAll(async () => sandbox?.[Symbol.asyncDispose]());

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
    await killAgent(sandbox);

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
    await killAgent(sandbox);
    expect(await reading).toBeUndefined();
  }, 60_000);
});
