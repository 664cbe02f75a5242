import { describe, expect, it } from "vitest";
import type { Frame } from "#core/frames.ts";
import { createManualClock } from "../../../../test/harness/manual-clock.ts";
import { createEventStream } from "./event-stream.ts";

const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);
const data = (content: string): Frame => ({ kind: "data", bytes: new TextEncoder().encode(content) });

/** A stream over frames that the test hands out one by one. */
function open(offset = 0) {
  const clock = createManualClock();
  const queue: Frame[] = [];
  let asked = 0;
  let wake: (() => void) | undefined;
  let closed: { error?: Error } | undefined;
  const frames: AsyncIterator<Frame, void> = {
    async next() {
      asked += 1;
      while (queue.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      return { done: false, value: queue.shift()! };
    },
  };
  const options = { offset, clock, heartbeatMs: 15_000, stallMs: 30_000 };
  const onClose = (error?: Error): void => {
    if (closed !== undefined) throw new Error("closed twice");
    closed = error === undefined ? {} : { error };
  };
  const stream = createEventStream({ frames, first: frames.next() }, { ...options, onClose });
  return {
    clock,
    reader: stream.getReader(),
    give(...more: Frame[]) {
      queue.push(...more);
      wake?.();
    },
    asked: () => asked,
    closed: () => closed,
  };
}

describe("createEventStream", () => {
  it("ends cleanly at the end frame, with what was held back", async () => {
    const { reader, give, closed } = open(10);
    give(data("a\r"), { kind: "idle" }, { kind: "end", totalBytes: 12 });
    expect(text((await reader.read()).value)).toBe("data: a\nid: 11\n\n");
    expect(text((await reader.read()).value)).toBe("data: \ndata: \nid: 12\n\n");
    expect((await reader.read()).done).toBe(true);
    expect(closed()).toEqual({});
  });

  it.each([
    { what: "a lost rest", frame: { kind: "lost", reason: "gone" } as const },
    { what: "an end before the last byte", frame: { kind: "end", totalBytes: 1 } as const },
    { what: "an end beyond the last byte", frame: { kind: "end", totalBytes: 4 } as const },
  ])("breaks on $what and emits nothing that was held back", async ({ frame }) => {
    const { reader, give, closed } = open();
    give(data("ab\r"), frame);
    await reader.read();
    await expect(reader.read()).rejects.toThrow();
    expect(closed()?.error).toBeInstanceOf(Error);
  });

  it("sends a comment after 15 s without data, again and again, whatever idle frames come", async () => {
    const { reader, give, clock, closed } = open();
    for (let round = 0; round < 3; round += 1) {
      const reading = reader.read();
      await clock.advance(10_000);
      give({ kind: "idle" });
      await clock.advance(0);
      await clock.advance(5000);
      expect(text((await reading).value)).toBe(": keepalive\n\n");
    }
    expect(closed()).toBeUndefined();
  });

  it("breaks when the agent says nothing for 30 s", async () => {
    const { reader, clock, closed } = open();
    const first = await clock.runUntil(reader.read());
    expect(text(first.value)).toBe(": keepalive\n\n");
    await expect(clock.runUntil(reader.read())).rejects.toThrow("silent");
    expect(closed()?.error).toBeInstanceOf(Error);
  });

  it("asks for no frame that nobody reads", async () => {
    const { give, clock, asked, reader } = open();
    give(...Array.from({ length: 100 }, () => data("x")));
    await clock.advance(0);
    expect(asked()).toBe(1);
    await reader.read();
    await clock.advance(0);
    expect(asked()).toBe(1);
  });

  it("closes once when the reader goes away", async () => {
    const { reader, closed } = open();
    const reading = reader.read();
    await reader.cancel();
    await reading;
    expect(closed()).toEqual({});
  });
});
