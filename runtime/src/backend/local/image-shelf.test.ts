import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { planEviction, totalBytes, type Shelf, type ShelfImage } from "./image-shelf.ts";

const config = {
  entrypoint: [],
  cmd: [],
  env: {},
  workingDir: "/",
  user: { uid: 0, gid: 0, additionalGids: [], home: "/" },
};
const image = (
  digest: string,
  sizeBytes: number,
  lastUsedAtMs: number,
  holders: readonly string[] = [],
): ShelfImage => ({
  digest,
  sizeBytes,
  config,
  lastUsedAtMs,
  notedAtMs: lastUsedAtMs,
  holders: new Set(holders),
});
const shelf = (images: readonly ShelfImage[], references: readonly [string, string][] = []): Shelf => ({
  images: new Map(images.map((entry) => [entry.digest, entry])),
  references: new Map(references.map(([reference, digest]) => [reference, { digest }])),
});

describe("planEviction()", () => {
  test("takes the least recently used until the rest fits, and no more", () => {
    const full = shelf([image("new", 10, 3), image("old", 10, 1), image("middle", 10, 2)]);
    expect(planEviction(full, 30, new Set()).map(({ digest }) => digest)).toEqual([]);
    expect(planEviction(full, 29, new Set()).map(({ digest }) => digest)).toEqual(["old"]);
    expect(planEviction(full, 15, new Set()).map(({ digest }) => digest)).toEqual(["old", "middle"]);
  });

  test("spares held images and those of kept references", () => {
    const full = shelf(
      [image("held", 10, 1, ["sandbox"]), image("base", 10, 2), image("free", 10, 3)],
      [["base:latest", "base"]],
    );
    expect(planEviction(full, 0, new Set(["base:latest"])).map(({ digest }) => digest)).toEqual(["free"]);
  });

  test("fits the limit or leaves only spared images, for any shelf", () => {
    const entries = fc.array(fc.record({ sizeBytes: fc.nat(1000), at: fc.nat(50), held: fc.boolean() }), {
      maxLength: 20,
    });
    fc.assert(
      fc.property(entries, fc.nat(5000), (made, maxBytes) => {
        const full = shelf(
          made.map(({ sizeBytes, at, held }, index) => image(`i${index}`, sizeBytes, at, held ? ["x"] : [])),
        );
        const doomed = planEviction(full, maxBytes, new Set());
        for (const { digest } of doomed) full.images.delete(digest);
        expect(doomed.every(({ holders }) => holders.size === 0)).toBe(true);
        const leftFree = [...full.images.values()].filter(({ holders }) => holders.size === 0);
        expect(totalBytes(full) <= maxBytes || leftFree.length === 0).toBe(true);
        const youngest = Math.max(...doomed.map(({ lastUsedAtMs }) => lastUsedAtMs));
        expect(leftFree.every(({ lastUsedAtMs }) => lastUsedAtMs >= youngest)).toBe(true);
      }),
    );
  });
});
