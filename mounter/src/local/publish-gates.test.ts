import { describe, expect, test } from "vitest";
import { createPublishGates } from "./publish-gates.ts";

const never = new AbortController().signal;

describe("createPublishGates()", () => {
  test("lets exactly the write that waits go on, once", async () => {
    const gates = createPublishGates();
    expect(gates.open("a", 1)).toBe(false);
    const waits = gates.wait("a", never);
    expect([gates.open("b", 1), gates.open("a", 2), gates.open("a", 3)]).toEqual([false, true, false]);
    expect(await waits).toBe(2);
  });

  test("a write that has left cannot be let go on, and comes again", async () => {
    const gates = createPublishGates();
    const leaver = new AbortController();
    const left = gates.wait("a", leaver.signal);
    await expect(gates.wait("a", never)).rejects.toThrow("waits already");
    leaver.abort(new Error("left"));
    await expect(left).rejects.toThrow("left");
    expect(gates.open("a", 1)).toBe(false);
    const again = gates.wait("a", never);
    expect(gates.open("a", 5)).toBe(true);
    expect(await again).toBe(5);
  });
});
