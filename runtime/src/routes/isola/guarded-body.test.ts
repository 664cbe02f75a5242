import { describe, expect, it } from "vitest";
import { createManualClock } from "../../../../test/harness/manual-clock.ts";
import { guardBody } from "./guarded-body.ts";

/** A guarded body whose source the test feeds. */
function open(expectedBytes?: number) {
  const clock = createManualClock();
  const closings: (Error | undefined)[] = [];
  let feed: ReadableStreamDefaultController<Uint8Array> | undefined;
  let cancelled: unknown;
  const source = new ReadableStream<Uint8Array>({
    start: (controller) => {
      feed = controller;
    },
    cancel: (reason) => {
      cancelled = reason;
    },
  });
  const onClose = (error?: Error): void => void closings.push(error);
  const body = guardBody(source, { clock, stallMs: 1000, expectedBytes, onClose });
  return { clock, reader: body.getReader(), feed: feed!, closings, cancelled: () => cancelled };
}

const bytes = (count: number): Uint8Array => new Uint8Array(count);

describe("guardBody", () => {
  it("passes chunks on as they are and ends when the source ends", async () => {
    const { reader, feed, closings } = open(3);
    const chunk = bytes(3);
    feed.enqueue(chunk);
    feed.close();
    expect((await reader.read()).value).toBe(chunk);
    expect((await reader.read()).done).toBe(true);
    expect(closings).toEqual([undefined]);
  });

  it.each([
    { what: "fewer", sent: 2 },
    { what: "more", sent: 4 },
  ])("breaks on $what bytes than promised", async ({ sent }) => {
    const { reader, feed, closings } = open(3);
    feed.enqueue(bytes(sent));
    feed.close();
    await expect(reader.read().then(() => reader.read())).rejects.toThrow("promised");
    expect(closings).toEqual([expect.any(Error)]);
  });

  it("breaks after a silence that begins with the wait for a chunk, not before", async () => {
    const { clock, reader, feed, closings, cancelled } = open();
    feed.enqueue(bytes(1));
    await reader.read();
    await clock.advance(5000);
    const outcome = reader.read().catch((error: Error) => error.message);
    await clock.advance(999);
    expect(closings).toEqual([]);
    await clock.advance(1);
    expect(await outcome).toContain("silent");
    expect([closings.length, cancelled()]).toEqual([1, expect.any(Error)]);
  });

  it("closes once, and as no fault, when the reader goes away in the middle of a wait", async () => {
    const { clock, reader, closings } = open(3);
    const reading = reader.read();
    await reader.cancel("enough");
    await reading;
    await clock.advance(2000);
    expect(closings).toEqual([undefined]);
  });
});
