import { createCipheriv, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { constants, createZstdCompress, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ArchiveFault } from "../../archive/archive-fault.ts";
import { byteString } from "../../archive/byte-string.ts";
import { FRAME_BYTES } from "../../archive/zstd-frame.ts";
import { collect } from "../../../test/parse-layer.ts";
import { summing } from "./digest.ts";
import { packLayer, unpackLayer, type PackedSums } from "./zstd.ts";

async function* of(...chunks: readonly Uint8Array[]): AsyncIterable<Uint8Array> {
  yield* chunks;
}

async function pack(bytes: Uint8Array): Promise<{ packed: Uint8Array; sums: PackedSums }> {
  const layer = packLayer(of(bytes));
  const packed = await collect(layer.chunks);
  return { packed, sums: layer.sums() };
}

async function sumsOf(packed: Uint8Array, tar: Uint8Array): Promise<PackedSums> {
  const sum = async (bytes: Uint8Array) => {
    const summed = summing(of(bytes));
    await collect(summed.chunks);
    return summed.sum();
  };
  const [data, archive] = [await sum(packed), await sum(tar)];
  return { ...data, tarDigest: archive.digest, tarBytes: archive.bytes };
}

const isDamage = (error: unknown): boolean => error instanceof ArchiveFault && error.code === "damaged";

/** Bytes that no compression makes smaller, the same in every run. */
function noise(length: number): Uint8Array {
  const key = new Uint8Array(32);
  return new Uint8Array(createCipheriv("aes-256-ctr", key, key.subarray(16)).update(new Uint8Array(length)));
}

describe("packLayer and unpackLayer", () => {
  test("give back the same bytes, with the sums of both sides", async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 5000 }),
      fc.nat(600_000).map((length) => new Uint8Array(length)),
    );
    await fc.assert(
      fc.asyncProperty(bytes, async (bytes) => {
        const { packed, sums } = await pack(bytes);
        expect(sums).toEqual(await sumsOf(packed, bytes));
        expect(byteString(await collect(unpackLayer(of(packed), sums)))).toBe(byteString(bytes));
      }),
      { numRuns: 20 },
    );
  });

  test("end with a fault for each change of the data, never with other bytes", async () => {
    const bytes = new Uint8Array(randomBytes(3000));
    const { packed, sums } = await pack(bytes);
    await fc.assert(
      fc.asyncProperty(fc.nat(packed.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const flipped = packed.slice();
        flipped[at] = (flipped[at] ?? 0) ^ flip;
        // Some bits of a header mean nothing to a reader.
        const same = await collect(unpackLayer(of(flipped), sums)).then(
          (unpacked) => byteString(unpacked) === byteString(bytes),
          (error: unknown) => isDamage(error),
        );
        expect(same).toBe(true);
        const cut = collect(unpackLayer(of(packed.subarray(0, at)), sums));
        await expect(cut).rejects.toMatchObject({ code: "damaged" });
      }),
    );
  });

  test("give back what is longer than a frame, in whatever pieces it comes, and always the same packed bytes", async () => {
    const text = new TextEncoder().encode("what is written here is written again and again. ");
    const mixed = Buffer.concat([noise(FRAME_BYTES + 5), Buffer.alloc(2 * FRAME_BYTES, text), noise(3 * FRAME_BYTES)]);
    const bytes = new Uint8Array(mixed);
    const whole = await pack(bytes);
    expect(whole.packed.length).toBeLessThan(5 * FRAME_BYTES);
    expect(whole.packed.length).toBeGreaterThan(4 * FRAME_BYTES);
    const sizes = fc.array(fc.integer({ min: 1, max: 2 * FRAME_BYTES }), { minLength: 1, maxLength: 20 });
    const cut = async function* (of: Uint8Array, sizes: readonly number[]): AsyncIterable<Uint8Array> {
      for (let at = 0, turn = 0; at < of.length; turn += 1) {
        const size = sizes[turn % sizes.length] ?? 1;
        yield of.subarray(at, (at += Math.max(size, of.length / 200)));
      }
    };
    await fc.assert(
      fc.asyncProperty(sizes, async (sizes) => {
        const layer = packLayer(cut(bytes, sizes));
        const packed = await collect(layer.chunks);
        expect(layer.sums()).toEqual(whole.sums);
        const unpacked = await collect(unpackLayer(cut(packed, sizes), layer.sums()));
        expect(Buffer.compare(unpacked, bytes)).toBe(0);
      }),
      { numRuns: 10 },
    );
  });

  test("what is packed is what any decoder of zstd unpacks, stored or not", async () => {
    for (const bytes of [noise(300_000), new Uint8Array(300_000), new Uint8Array(0)]) {
      const { packed } = await pack(bytes);
      expect(Buffer.compare(zstdDecompressSync(packed), bytes)).toBe(0);
    }
    expect((await pack(noise(300_000))).packed.length).toBe(300_000 + 9 + 3 * 3);
  });

  test("refuse a frame that holds more than is kept in memory at once", async () => {
    const zeroes = new Uint8Array(3 * FRAME_BYTES);
    for (const packed of [zstdCompressSync(zeroes), zstdCompressSync(noise(3 * FRAME_BYTES))]) {
      const sums = await sumsOf(packed, zeroes);
      await expect(collect(unpackLayer(of(packed), sums))).rejects.toThrow("a frame of more than 2.0 MiB");
    }
  });

  test("refuse data that goes on: zeroes, garbage and a second frame", async () => {
    const bytes = new Uint8Array(100_000).fill(7);
    const { packed } = await pack(bytes);
    for (const more of [new Uint8Array(1), new Uint8Array(2_000_000).fill(1), packed]) {
      const longer = new Uint8Array(Buffer.concat([packed, more]));
      const unpacked = collect(unpackLayer(of(packed, more), await sumsOf(longer, bytes)));
      await expect(unpacked).rejects.toMatchObject({ name: "ArchiveFault" });
    }
  });

  test("refuse an archive that grows beyond what was announced before it is all there", async () => {
    const bomb = new Uint8Array(zstdCompressSync(new Uint8Array(200 * 1024 * 1024)));
    const sums = { ...(await sumsOf(bomb, new Uint8Array(0))), tarBytes: 1024 * 1024 };
    let seen = 0;
    const read = async () => {
      for await (const chunk of unpackLayer(of(bomb), sums)) seen += chunk.length;
    };
    await expect(read()).rejects.toThrow("the snapshot's archive is longer than the 1.0 MiB it should be");
    expect(seen).toBeLessThanOrEqual(1024 * 1024);
  });

  test("refuse a frame that needs more memory than every decoder has to offer", async () => {
    const params = { [constants.ZSTD_c_windowLog]: 24 };
    const bytes = new Uint8Array(1000);
    const packed = await collect(Readable.from([bytes]).pipe(createZstdCompress({ params })));
    await expect(collect(unpackLayer(of(packed), await sumsOf(packed, bytes)))).rejects.toThrow("too much memory");
  });

  test("refuse other sums than the announced ones, and no data", async () => {
    const bytes = new Uint8Array(1000);
    const { packed, sums } = await pack(bytes);
    const digest = `sha256:${"0".repeat(64)}`;
    for (const other of [{ tarDigest: digest }, { bytes: sums.bytes + 1 }, { tarBytes: 1001 }])
      await expect(collect(unpackLayer(of(packed), { ...sums, ...other }))).rejects.toMatchObject({ code: "damaged" });
    await expect(collect(unpackLayer(of(), sums))).rejects.toMatchObject({ code: "damaged" });
  });

  test("pass on the fault of the source, and end it when nobody reads any more", async () => {
    async function* broken(): AsyncIterable<Uint8Array> {
      yield new Uint8Array(10);
      throw new Error("the store is gone");
    }
    await expect(collect(packLayer(broken()).chunks)).rejects.toThrow("the store is gone");
    let isEnded = false;
    async function* endless(): AsyncIterable<Uint8Array> {
      try {
        for (;;) yield new Uint8Array(randomBytes(100_000));
      } finally {
        isEnded = true;
      }
    }
    for await (const _ of packLayer(endless()).chunks) break;
    await expect.poll(() => isEnded).toBe(true);
  });
});
