import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { WatchEvent } from "./client.ts";
import type { KubeObject } from "./object.ts";
import { decodeWatch } from "./watch-stream.ts";

const never = new AbortController().signal;

function line(type: string, object: object): string {
  return `${JSON.stringify({ type, object })}\n`;
}

function added(name: string): string {
  return line("ADDED", { metadata: { name } });
}

function streamOf(...chunks: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start: (controller) => {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
}

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

async function decode(text: string, maxLength?: number): Promise<WatchEvent<KubeObject>[]> {
  return collect(decodeWatch(streamOf(new TextEncoder().encode(text)), never, maxLength));
}

describe("decodeWatch()", () => {
  it("reads the same events however the bytes are cut", async () => {
    const names = fc.array(fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 }), { maxLength: 8 });
    const property = fc.asyncProperty(names, fc.array(fc.nat(400)), async (names, cuts) => {
      const bytes = new TextEncoder().encode(names.map(added).join(""));
      const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b);
      const chunks = at.slice(1).map((end, i) => bytes.slice(at[i], end));
      const events = await collect(decodeWatch(streamOf(...chunks), never));
      expect(events).toEqual(names.map((name) => ({ kind: "added", object: { metadata: { name } } })));
    });
    await fc.assert(property);
  });

  it("tells bookmarks from objects, and skips kinds it does not know", async () => {
    const text =
      line("BOOKMARK", { metadata: { resourceVersion: "7" } }) + line("NOVELTY", { metadata: {} }) + added("a");
    expect(await decode(text)).toEqual([
      { kind: "bookmark", resourceVersion: "7" },
      { kind: "added", object: { metadata: { name: "a" } } },
    ]);
  });

  it("throws for a stream that ends within an event", async () => {
    await expect(decode(`${added("a")}{"type":"ADD`)).rejects.toMatchObject({ status: 0, reason: "BadAnswer" });
  });

  it("throws the status of an ERROR event", async () => {
    const gone = line("ERROR", { kind: "Status", code: 410, reason: "Expired", message: "too old resource version" });
    await expect(decode(gone)).rejects.toMatchObject({
      status: 410,
      reason: "Expired",
      message: "too old resource version",
    });
  });

  it.each(["no json\n", "[]\n", '{"type":"ADDED"}\n', '{"type":"ADDED","object":{}}\n'])(
    "refuses the line %j",
    async (text) => {
      await expect(decode(text)).rejects.toMatchObject({ status: 0, reason: "BadAnswer" });
    },
  );

  it("refuses an event that does not end", async () => {
    await expect(decode(added("x".repeat(100)), 100)).resolves.toHaveLength(1);
    await expect(decode("x".repeat(101), 100)).rejects.toThrow(/longer than 100/);
  });

  it("throws the signal's reason when aborted, and lets the stream go", async () => {
    const abort = new AbortController();
    const reason = new Error("enough");
    let cancelled: unknown;
    const body = new ReadableStream<Uint8Array>({ cancel: (why) => void (cancelled = why) });
    const reading = collect(decodeWatch(body, abort.signal));
    abort.abort(reason);
    await expect(reading).rejects.toBe(reason);
    expect(cancelled).toBe(reason);
    await expect(collect(decodeWatch(streamOf(), AbortSignal.abort(reason)))).rejects.toBe(reason);
  });

  it("lets the stream go when its reader leaves", async () => {
    let isCancelled = false;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode(added("a"))),
      cancel: () => void (isCancelled = true),
    });
    for await (const event of decodeWatch(body, never)) {
      expect(event.kind).toBe("added");
      break;
    }
    expect(isCancelled).toBe(true);
  });
});
