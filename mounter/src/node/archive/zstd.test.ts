import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { constants, createZstdCompress, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { byteString } from "../../archive/byte-string.ts";
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
        await expect(collect(unpackLayer(of(flipped), sums))).rejects.toMatchObject({ code: "damaged" });
        const cut = collect(unpackLayer(of(packed.subarray(0, at)), sums));
        await expect(cut).rejects.toMatchObject({ code: "damaged" });
      }),
    );
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
    for (const other of [{ digest }, { tarDigest: digest }, { bytes: sums.bytes + 1 }, { tarBytes: 1001 }])
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
