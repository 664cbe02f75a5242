import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decideWrite, type Standing, type Writer } from "./write-order.ts";

const at = (second: number): string => `2026-11-22T10:00:0${second}Z`;
const standing = (writeId: string, second: number): Standing<Writer> => ({
  kind: "manifest",
  manifest: { writeId, createdAt: at(second) },
  version: "v",
});

describe("decideWrite()", () => {
  const write = { writeId: "w", createdAt: at(5) };

  test.each<[string, Standing<Writer>, string]>([
    ["nothing", { kind: "none" }, "create"],
    ["something unreadable", { kind: "unreadable", fault: "x", version: "v" }, "replace"],
    ["an older write", standing("other", 4), "replace"],
    ["another write of the same second", standing("other", 5), "replace"],
    ["a newer write", standing("other", 6), "superseded"],
    ["itself", standing("w", 5), "done"],
    ["itself, whatever its time", standing("w", 9), "done"],
  ])("where %s stands", (_, found, kind) => {
    expect(decideWrite(found, write).kind).toBe(kind);
  });

  test("of writes in any order, repeated at will, the newest stands in the end", () => {
    const writes = fc.uniqueArray(fc.nat(9), { minLength: 1 });
    const order = fc.tuple(writes, fc.array(fc.nat(100), { maxLength: 30 }));
    fc.assert(
      fc.property(order, ([seconds, picks]) => {
        let now: Standing<Writer> = { kind: "none" };
        for (const second of [...picks.map((pick) => seconds[pick % seconds.length] ?? 0), ...seconds]) {
          const next: Writer = { writeId: `w${second}`, createdAt: at(second) };
          const { kind } = decideWrite(now, next);
          if (kind === "create" || kind === "replace") now = { kind: "manifest", manifest: next, version: "v" };
        }
        expect(now).toMatchObject({ manifest: { writeId: `w${Math.max(...seconds)}` } });
      }),
    );
  });
});
