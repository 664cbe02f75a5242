import { describe, expect, it } from "vitest";
import type { SnapshotBase } from "#api/snapshot-manifest.ts";
import { compareBase, otherBaseMessage, type RestoreImage } from "./compare-base.ts";

const [a, b, index] = ["a", "b", "c"].map((digit) => `sha256:${digit.repeat(64)}`) as [string, string, string];

describe("compareBase", () => {
  it.each<[string, SnapshotBase, RestoreImage, ReturnType<typeof compareBase>]>([
    ["equal digests, whatever the names", { image: "x", digest: a }, { image: "y", digest: a }, "same"],
    ["other digests, even of one name", { image: "x", digest: a }, { image: "x", digest: b }, "different"],
    ["a pin of the digest that ran", { image: "x", digest: a }, { image: `x@${a}` }, "same"],
    ["a pin that may be an index of it", { image: "x", digest: a }, { image: `x@${index}` }, "unknown"],
    ["the same pin on both sides", { image: `x@${index}`, digest: a }, { image: `y@${index}` }, "same"],
    ["other pins", { image: `x@${a}` }, { image: `x@${b}` }, "different"],
    [
      "the same index on machines of two kinds",
      { image: `x@${index}`, digest: a },
      { image: `x@${index}`, digest: b },
      "different",
    ],
    ["a tag, before it is pulled", { image: "x:1", digest: a }, { image: "x:1" }, "unknown"],
    ["a snapshot that knows no digest", { image: "x:1" }, { image: "x:1", digest: a }, "unknown"],
  ])("of %s", (_, base, container, expected) => expect(compareBase(base, container)).toBe(expected));
});

describe("otherBaseMessage", () => {
  it("names both images with their digests, each once", () => {
    const message = otherBaseMessage("s", { image: "x", digest: a }, { image: `y@${b}`, digest: b });
    for (const part of ['"s"', `"x" (${a})`, `"y@${b}"`]) expect(message.split(part)).toHaveLength(2);
    expect(message.split(b)).toHaveLength(2);
  });
});
