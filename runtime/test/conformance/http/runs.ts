import { describe, expect, it } from "vitest";
import { FRAME_MEDIA_TYPE } from "#api/agent-protocol.ts";
import { Problem } from "#api/problem.ts";
import { createRunDecoder, type RunEvent } from "../../../../sdk/src/run-frames.ts";
import type { HttpClient } from "../http-client.ts";
import type { HttpWorld } from "./world.ts";
import { expectNoPileUp } from "../no-pile-up.ts";

interface Ran {
  readonly id: string;
  readonly stdout: string;
  readonly stderr: string;
  /** Undefined when the body ended without one. */
  readonly end: RunEvent | undefined;
}

/** Commands whose whole run is one answer. */
export function runCases(client: () => HttpClient, { faults, journalBytes }: HttpWorld): void {
  const start = (base: string, args: readonly string[], headers: Record<string, string> = {}): Promise<Response> =>
    client().sendJson(`${base}/commands`, { args }, { Accept: `${FRAME_MEDIA_TYPE}, application/json`, ...headers });

  describe("runs", () => {
    it.each([
      { args: ["sh", "-c", "echo out; echo err >&2; exit 7"], exitCode: 7, stdout: "out\n", stderr: "err\n" },
      { args: ["true"], exitCode: 0, stdout: "", stderr: "" },
      { args: ["sh", "-c", "kill -9 $$"], exitCode: -1, stdout: "", stderr: "" },
    ])("give all output and the exit code in one answer: $args", async ({ args, exitCode, stdout, stderr }) => {
      const base = await client().sandbox();
      const answer = await start(base, args);
      expect([answer.status, answer.headers.get("content-type")]).toEqual([200, FRAME_MEDIA_TYPE]);
      expect(answer.headers.get("cache-control")).toBe("no-cache, private");
      const run = await read(answer);
      const lengths = { stdoutBytes: stdout.length, stderrBytes: stderr.length };
      expect(run).toMatchObject({ stdout, stderr, end: { kind: "exited", exitCode, ...lengths } });
      expect(await client().exitCode(`${base}/commands/${run.id}`)).toBe(exitCode);
    });

    it("of many bytes come whole and unchanged", async () => {
      const run = await read(await start(await client().sandbox(), ["seq", "1", "600000"]));
      expect(run.stdout).toBe(Array.from({ length: 600_000 }, (_, i) => `${i + 1}\n`).join(""));
      expect(run.end).toMatchObject({ kind: "exited", exitCode: 0, stdoutBytes: run.stdout.length });
    });

    it("tell what there is before the command ends, and can be fed meanwhile", async () => {
      const base = await client().sandbox();
      const answer = await start(base, ["cat"]);
      const command = `${base}/commands/${answer.headers.get("x-command-id")}`;
      expect((await client().send(`${command}/stdin`, { method: "POST", body: "fed" })).status).toBe(204);
      expect((await client().send(`${command}/stdin/close`, { method: "POST" })).status).toBe(204);
      expect(await read(answer)).toMatchObject({ stdout: "fed", end: { kind: "exited", exitCode: 0 } });
    });

    it("with a key are started once, and a repeat has all of it again", async () => {
      const base = await client().sandbox();
      const key = { "Idempotency-Key": "run-1" };
      const first = await read(await start(base, ["sh", "-c", "echo once >> /tmp/count; cat /tmp/count"], key));
      const again = await read(await start(base, ["sh", "-c", "echo once >> /tmp/count; cat /tmp/count"], key));
      expect(again).toEqual(first);
      expect(again.stdout).toBe("once\n");
      expect((await start(base, ["false"], key)).status).toBe(422);
      const classic = await client().sendJson(`${base}/commands`, { args: ["true"] }, { "Idempotency-Key": "run-2" });
      const { id } = (await classic.json()) as { id: string };
      expect((await read(await start(base, ["true"], { "Idempotency-Key": "run-2" }))).id).toBe(id);
    });

    it("are refused as any start", async () => {
      const base = await client().sandbox();
      const bad = await client().sendJson(`${base}/commands`, { args: [] }, { Accept: FRAME_MEDIA_TYPE });
      expect([bad.status, bad.headers.get("content-type")]).toEqual([422, "application/problem+json"]);
      expect((await start("/v1/sandboxes/none", ["true"])).status).toBe(404);
    });

    it("of which the beginning is no longer kept are 410", async () => {
      const base = await client().sandbox();
      const key = { "Idempotency-Key": "run-3" };
      const args = ["head", "-c", String(journalBytes * 1.25), "/dev/zero"];
      await read(await start(base, args, key));
      const answer = await start(base, args, key);
      expect(answer.status).toBe(410);
      expect(Problem.parse(await answer.json()).firstByte).toBeGreaterThan(0);
    });

    it.each(faults)("that break off have no end: $name", async (fault) => {
      const base = await client().sandbox();
      const key = { "Idempotency-Key": "run-4" };
      const args = ["sh", "-c", "echo before; sleep 1000"];
      const reading = read(await start(base, args, key)).catch((error: unknown) => error);
      await fault.inflict(client(), base);
      const run = await reading;
      if (!(run instanceof Error)) expect((run as Ran).end?.kind).not.toBe("exited");
      if (!fault.forgets) return;
      expect((await start(base, args, key)).status).toBe(409);
    });

    it("that are killed end with -1 and keep their output", async () => {
      const base = await client().sandbox();
      const answer = await start(base, ["sh", "-c", "echo kept; sleep 1000"]);
      const command = `${base}/commands/${answer.headers.get("x-command-id")}`;
      expect((await client().send(command, { method: "DELETE" })).status).toBe(204);
      expect((await read(answer)).end).toMatchObject({ kind: "exited", exitCode: -1 });
    });

    it("go on when their reader leaves", async () => {
      const base = await client().sandbox();
      const answer = await start(base, ["cat"]);
      const command = `${base}/commands/${answer.headers.get("x-command-id")}`;
      await answer.body!.cancel();
      expect(await (await client().send(`${command}/status`)).json()).toEqual({ exitCode: null });
      await client().send(command, { method: "DELETE" });
    });

    it("wait for a reader that stalls: nothing piles up", async () => {
      const base = await client().sandbox();
      const answer = await start(base, ["yes", "a line that is a little longer than most"]);
      const command = `${base}/commands/${answer.headers.get("x-command-id")}`;
      const headers = { Accept: FRAME_MEDIA_TYPE };
      const reader = (await client().send(`${command}/stdout`, { headers })).body!.getReader();
      await expectNoPileUp(reader, journalBytes);
      await Promise.all([reader.cancel(), answer.body!.cancel()]);
      await client().send(command, { method: "DELETE" });
    });
  });
}

async function read(answer: Response): Promise<Ran> {
  if (answer.status !== 200) throw new Error(`Cannot run: ${answer.status} ${await answer.text()}`);
  const decode = createRunDecoder();
  const parts: Record<"stdout" | "stderr", Uint8Array[]> = { stdout: [], stderr: [] };
  let end: RunEvent | undefined;
  for await (const piece of answer.body!) {
    for (const event of decode(piece)) {
      if (event.kind === "stdout" || event.kind === "stderr") parts[event.kind].push(event.bytes.slice());
      else if (event.kind !== "idle") end = event;
    }
  }
  const text = (bytes: Uint8Array[]): Promise<string> => new Blob(bytes as BlobPart[]).text();
  const [stdout, stderr] = await Promise.all([text(parts.stdout), text(parts.stderr)]);
  return { id: answer.headers.get("x-command-id") ?? "", stdout, stderr, end };
}
