import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createPartBuffers, cutParts } from "./cut-parts.ts";

async function* from(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

describe("cutParts()", () => {
  const { signal } = new AbortController();

  test("keeps every byte in its place, in parts of one size, and knows the last", async () => {
    const chunks = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 });
    const check = async (source: Uint8Array[], partBytes: number): Promise<void> => {
      const whole = source.flatMap((chunk) => [...chunk]);
      const buffers = createPartBuffers(partBytes);
      const seen: number[] = [];
      let lasts = 0;
      for await (const part of cutParts(from(source), { partBytes, buffers, signal })) {
        expect(lasts).toBe(0);
        expect(part.offset).toBe(seen.length);
        expect(part.offset).toBe(part.index * partBytes);
        if (part.isLast) lasts += 1;
        else expect(part.bytes.length).toBe(partBytes);
        seen.push(...part.bytes);
        buffers.give(part.bytes);
      }
      expect([seen, lasts]).toEqual([whole, 1]);
    };
    await fc.assert(fc.asyncProperty(chunks, fc.integer({ min: 1, max: 32 }), check));
  });

  test("does not wait for a source that hangs when the signal fires", async () => {
    const abort = new AbortController();
    const hanging = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => undefined) }) };
    const parts = cutParts(hanging, { partBytes: 4, buffers: createPartBuffers(4), signal: abort.signal });
    const first = parts.next();
    const why = new Error("enough");
    abort.abort(why);
    await expect(first).rejects.toBe(why);
  });
});
