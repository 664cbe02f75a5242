import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createFrameScanner, storedFrame } from "./zstd-frame.ts";

const joined = (pieces: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(pieces));
const WINDOW = { mostWindowBytes: 2 ** 23 };
const content = fc.oneof(
  fc.uint8Array({ maxLength: 3000 }),
  fc.nat(400_000).map((length) => new Uint8Array(length)),
  fc.uint8Array({ minLength: 1, maxLength: 300 }).map((some) => new Uint8Array(Buffer.alloc(200_000, some))),
);
const frame = fc
  .record({ bytes: content, isStored: fc.boolean(), hasSum: fc.boolean(), saysSize: fc.boolean(), level: fc.nat(5) })
  .map(({ bytes, isStored, hasSum, saysSize, level }) => {
    if (isStored) return { bytes, isStored, packed: joined(storedFrame(bytes)) };
    const params = {
      [constants.ZSTD_c_checksumFlag]: Number(hasSum),
      [constants.ZSTD_c_compressionLevel]: level,
    };
    const size = saysSize ? { pledgedSrcSize: bytes.length } : {};
    return { bytes, isStored, packed: new Uint8Array(zstdCompressSync(bytes, { params, ...size })) };
  });

describe("createFrameScanner()", () => {
  test("finds the end of every frame, in whatever pieces it comes, and the bytes of those that are stored", () => {
    const cuts = fc.array(fc.oneof(fc.integer({ min: 1, max: 20 }), fc.nat(200_000)), { maxLength: 40 });
    fc.assert(
      fc.property(fc.array(frame, { minLength: 1, maxLength: 5 }), cuts, (frames, cuts) => {
        const all = new Uint8Array(Buffer.concat(frames.map(({ packed }) => packed)));
        const scanner = createFrameScanner(WINDOW);
        const ends: number[] = [];
        let begin = 0;
        for (const [from, to] of piecesOf(all.length, cuts)) {
          for (let at = from; at < to;) {
            const end = scanner.scan(all.subarray(from, to), at - from);
            expect(scanner.isWithin).toBe(end === undefined);
            if (end === undefined) break;
            at = from + end;
            const { bytes, isStored } = frames[ends.length] ?? { bytes: new Uint8Array(), isStored: false };
            const whole = all.subarray(begin, at);
            const stored = scanner.stored?.map((piece) => whole.subarray(piece.at, piece.at + piece.bytes));
            if (isStored) expect(stored).toBeDefined();
            if (stored !== undefined) expect(Buffer.compare(Buffer.concat(stored), bytes)).toBe(0);
            ends.push((begin = at));
          }
        }
        let at = 0;
        expect(ends).toEqual(frames.map(({ packed }) => (at += packed.length)));
      }),
      { numRuns: 100 },
    );
  });

  test.each([
    ["other bytes", (packed: Uint8Array) => packed.fill(1, 0, 4), "does not begin as a frame"],
    ["a dictionary", (packed: Uint8Array) => packed.fill(0b1010_0001, 4, 5), "no reader of ours has"],
    ["a form to come", (packed: Uint8Array) => packed.fill(0b1010_1000, 4, 5), "no reader of ours has"],
    ["a block to come", (packed: Uint8Array) => packed.fill(0b111, 9, 10), "a block of no known kind"],
    ["a block that is too long", (packed: Uint8Array) => packed.fill(0xff, 10, 12), "a block of no known kind"],
    ["a window that is too large", (packed: Uint8Array) => packed.fill(0xff, 5, 9), "needs too much memory"],
  ])("refuses %s", (_, change, words) => {
    const packed = joined(storedFrame(new Uint8Array(100)));
    expect(createFrameScanner(WINDOW).scan(packed, 0)).toBe(packed.length);
    change(packed);
    expect(() => createFrameScanner(WINDOW).scan(packed, 0)).toThrow(words);
  });
});

describe("storedFrame()", () => {
  test.each([0, 1, 128 * 1024, 128 * 1024 + 1, 2 ** 21])("of %i bytes is what any decoder reads", (length) => {
    const bytes = Uint8Array.from({ length }, (_, at) => at * 7);
    expect(Buffer.compare(zstdDecompressSync(joined(storedFrame(bytes))), bytes)).toBe(0);
  });
});

function piecesOf(length: number, cuts: readonly number[]): (readonly [number, number])[] {
  const pieces: [number, number][] = [];
  let at = 0;
  for (const cut of cuts) {
    const end = Math.min(length, at + cut);
    if (end > at) pieces.push([at, end]);
    at = end;
  }
  return at < length ? [...pieces, [at, length]] : pieces;
}
