import { describe, expect, it } from "vitest";
import { FRAME_MEDIA_TYPE } from "#api/agent.ts";
import { Problem } from "#api/problem.ts";
import { decodeFrames, type Frame } from "#core/frames.ts";
import type { HttpClient } from "../http-client.ts";
import type { HttpWorld } from "./world.ts";
import { expectNoPileUp } from "../no-pile-up.ts";

export function outputCases(client: () => HttpClient, { faults, journalBytes }: HttpWorld): void {
  const finished = async (args: string[]): Promise<string> => {
    const command = await client().spawn(await client().sandbox(), args);
    await client().exitCode(command);
    return command;
  };

  describe("output", () => {
    it("is an event stream with raw offsets", async () => {
      const command = await finished(["printf", "a\\r\\nb\\rc\\303\\251\\377\\n"]);
      const answer = await client().send(`${command}/stdout`);
      expect(answer.headers.get("content-type")).toBe("text/event-stream");
      expect(answer.headers.get("cache-control")).toBe("no-cache, private");
      expect(answer.headers.get("x-accel-buffering")).toBe("no");
      expect(await answer.text()).toBe("data: a\ndata: b\ndata: c\u00e9\ufffd\ndata: \nid: 10\n\n");
      const other = await client().send(`${command}/stderr`);
      expect([other.status, await other.text()]).toEqual([200, ""]);
    });

    it("is resumed at any byte", async () => {
      const command = await finished(["printf", "0123456789"]);
      const from = async (id: string): Promise<string> =>
        (await client().send(`${command}/stdout`, { headers: { "Last-Event-ID": id } })).text();
      expect(await from("")).toBe("data: 0123456789\nid: 10\n\n");
      expect(await from("7")).toBe("data: 789\nid: 10\n\n");
      expect(await from("10")).toBe("");
      expect(await from("11")).toBe("");
    });

    it.each(["-1", "1.5", "x", "1 2", "99999999999999999999"])("is not resumed at %j", async (id) => {
      const command = await finished(["true"]);
      expect((await client().send(`${command}/stdout`, { headers: { "Last-Event-ID": id } })).status).toBe(400);
    });

    it("of many bytes comes whole and unchanged", async () => {
      const command = await client().spawn(await client().sandbox(), ["seq", "1", "600000"]);
      const text = await (await client().send(`${command}/stdout`)).text();
      const data = text
        .slice(0, -2)
        .split("\n\n")
        .map((event) =>
          event
            .split("\n")
            .slice(0, -1)
            .map((line) => line.slice(6))
            .join("\n"),
        );
      expect(data.join("")).toBe(Array.from({ length: 600_000 }, (_, i) => `${i + 1}\n`).join(""));
    });

    it("is given in frames to a client that takes them", async () => {
      const command = await finished(["printf", "\\000\\377\\r\\n"]);
      const headers = { Accept: `${FRAME_MEDIA_TYPE}, text/event-stream;q=0.5`, "Last-Event-ID": "1" };
      const answer = await client().send(`${command}/stdout`, { headers });
      expect(answer.headers.get("content-type")).toBe(FRAME_MEDIA_TYPE);
      const frames = await collect(decodeFrames(answer.body!));
      expect(frames.map((frame) => (frame.kind === "data" ? [...frame.bytes] : frame))).toEqual([
        [255, 13, 10],
        { kind: "end", totalBytes: 4 },
      ]);
    });

    it("that is no longer kept is 410 and names the first byte that is", async () => {
      const command = await finished(["head", "-c", String(journalBytes * 1.25), "/dev/zero"]);
      const answer = await client().send(`${command}/stdout`);
      const { firstByte = 0 } = Problem.parse(await answer.json());
      expect(answer.status).toBe(410);
      expect(firstByte).toBeGreaterThan(0);
      const rest = await client().send(`${command}/stdout`, {
        headers: { "Last-Event-ID": `${firstByte}`, Accept: FRAME_MEDIA_TYPE },
      });
      const frames = await collect(decodeFrames(rest.body!));
      const bytes = frames.reduce((sum, frame) => sum + (frame.kind === "data" ? frame.bytes.length : 0), 0);
      expect(firstByte + bytes).toBe(journalBytes * 1.25);
    });

    it.each(faults)("that breaks off never ends cleanly: $name", async (fault) => {
      const base = await client().sandbox();
      const command = await client().spawn(base, ["sh", "-c", "echo before; sleep 1000"]);
      const reader = (await client().send(`${command}/stdout`)).body!.getReader();
      expect(new TextDecoder().decode((await reader.read()).value)).toBe("data: before\ndata: \nid: 7\n\n");
      await fault.inflict(client(), base);
      await expect(readToEnd(reader)).rejects.toThrow();
    });

    it("waits for a reader that stalls: nothing piles up", async () => {
      const command = await client().spawn(await client().sandbox(), [
        "yes",
        "a line that is a little longer than most",
      ]);
      const stalled = await client().raw(`GET ${command}/stdout HTTP/1.1\nHost: localhost\n\n`);
      await new Promise((resolve) => stalled.once("readable", resolve));
      const headers = { Accept: FRAME_MEDIA_TYPE };
      const reader = (await client().send(`${command}/stdout`, { headers })).body!.getReader();
      await expectNoPileUp(reader, journalBytes);
      await reader.cancel();
      stalled.destroy();
      await client().send(command, { method: "DELETE" });
    });
  });
}

async function collect(frames: AsyncIterable<Frame>): Promise<Frame[]> {
  const all: Frame[] = [];
  for await (const frame of frames) all.push(frame);
  return all;
}

async function readToEnd(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  while (!(await reader.read()).done);
}
