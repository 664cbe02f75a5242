import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AgentCommand, AgentHealth } from "#api/agent.ts";
import { until } from "../harness/until.ts";
import { collect, ended, exec, killAgent, problemOf, readFrames, shell, start } from "./client.ts";
import { startSandbox, type AgentSandbox } from "./sandbox.ts";

const MIB = 1 << 20;
const DISK_BYTES = 8 * MIB;
const TOTAL_BYTES = 24 * MIB;
/** Numbered lines: a byte lost, doubled or made up changes their digest. */
const WRITER = `seq -f %015.0f 1 ${TOTAL_BYTES / 16}; echo done > /root/done`;

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function written(): Buffer {
  return Buffer.concat(
    Array.from({ length: TOTAL_BYTES / 16 }, (_, index) => Buffer.from(`${String(index + 1).padStart(15, "0")}\n`)),
  );
}

describe("with the disk of the journal full, though its budget is not", () => {
  let sandbox: AgentSandbox;
  beforeAll(async () => {
    sandbox = await startSandbox({
      targets: [{ name: "main" }],
      journalDiskBytes: DISK_BYTES,
      agentEnv: { ATOLL_JOURNAL_BUDGET_BYTES: String(32 * MIB) },
    });
  }, 60_000);
  afterAll(async () => sandbox?.[Symbol.asyncDispose]());

  async function view(id: string): Promise<AgentCommand> {
    return AgentCommand.parse(await (await sandbox.fetch(`/v1/commands/${id}`)).json());
  }

  /** A writer whose reader has the first byte only, once the disk is full of what that reader has still to get. */
  async function fill(): Promise<{ id: string; reading: Response }> {
    const id = await start(sandbox, ["sh", "-c", WRITER]);
    const reading = await sandbox.fetch(`/v1/commands/${id}/stdout`);
    let before = -1;
    await until(
      () => view(id),
      ({ stdout }) => {
        const isStill = stdout.end === before && stdout.end > DISK_BYTES / 2;
        before = stdout.end;
        return isStill;
      },
    );
    return { id, reading };
  }

  test("output of ended commands goes first, then the writer waits for its reader, who gets every byte", async () => {
    const old = await exec(sandbox, ["head", "-c", String(3 * MIB), "/dev/zero"]);
    const { id, reading } = await fill();
    expect(await view(id)).toMatchObject({ state: "running", stdout: { first: 0 } });
    expect((await view(id)).stdout.end).toBeLessThanOrEqual(DISK_BYTES);
    const gone = await problemOf(await sandbox.fetch(`/v1/commands/${old.id}/stdout`));
    expect(gone).toMatchObject({ status: 410, slug: "output-gone" });

    const { bytes, ended: end } = await readFrames(reading);
    expect([digest(bytes), end]).toEqual([digest(written()), { kind: "end", totalBytes: TOTAL_BYTES }]);
    expect((await ended(sandbox, id)).exitCode).toBe(0);
    expect((await shell(sandbox, "cat /root/done")).stdout).toBe("done\n");
  }, 60_000);

  test("the agent answers, keeps files, and loses nothing that commands write meanwhile", async () => {
    const { id, reading } = await fill();
    const { containers } = AgentHealth.parse(await (await sandbox.fetch("/v1/health")).json());
    expect(containers.map(({ name }) => name)).toEqual(["main"]);
    const file = "/v1/files?container=main&path=/root/file";
    expect((await sandbox.fetch(file, { method: "PUT", body: "kept" })).status).toBe(204);
    expect(await (await sandbox.fetch(file)).text()).toBe("kept");
    // It may have to wait for room to put its output, but it runs, and what it says stays true.
    const other = await start(sandbox, ["sh", "-c", "head -c 300000 /dev/zero; exit 9"]);
    const output = collect(sandbox, other, "stdout");
    await readFrames(reading);
    expect((await output).bytes.length).toBe(300_000);
    expect((await ended(sandbox, other)).exitCode).toBe(9);
    expect((await ended(sandbox, id)).exitCode).toBe(0);
  }, 60_000);

  test("an agent that is killed comes back, and says what it does not know", async () => {
    const { id, reading } = await fill();
    await killAgent(sandbox);
    await reading.body?.cancel().catch(() => undefined);
    expect(await view(id)).toMatchObject({ state: "unknown", exitCode: null, stdout: { first: 0, complete: false } });
    const { bytes, ended: end } = await collect(sandbox, id, "stdout");
    expect(end?.kind).toBe("lost");
    expect(bytes.length).toBeGreaterThan(DISK_BYTES / 2);
    expect(digest(bytes)).toBe(digest(written().subarray(0, bytes.length)));
    expect((await exec(sandbox, ["echo", "again"])).stdout).toBe("again\n");
  }, 60_000);
});
