import { describe, expect, it } from "vitest";
import { createdAtMsOf } from "./created-at.ts";
import { ANNOTATION } from "./names.ts";

const AT = "2026-11-01T10:00:00Z";
const atMs = Date.parse(AT);
const of = (said?: string) =>
  createdAtMsOf({
    metadata: {
      name: "x",
      creationTimestamp: AT,
      ...(said === undefined ? {} : { annotations: { [ANNOTATION.createdAtMs]: said } }),
    },
  });

describe("createdAtMsOf()", () => {
  it("is the creator's word within the API server's second", () => {
    expect(of()).toBe(atMs);
    expect(of(`${atMs + 417}`)).toBe(atMs + 417);
  });

  it("is never outside of that second, whatever anybody wrote", () => {
    expect([of("0"), of(`${atMs - 1}`), of("")]).toEqual([atMs, atMs, atMs]);
    expect([of(`${atMs + 1000}`), of("9007199254740991")]).toEqual([atMs + 999, atMs + 999]);
    expect([of("soon"), of("1.5"), of("Infinity")]).toEqual([atMs, atMs, atMs]);
  });
});
