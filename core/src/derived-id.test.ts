import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CommandId, SandboxId } from "#api/scalars.ts";
import { SnapshotId } from "#api/snapshot.ts";
import { commandIdOfKey, digestOf, sandboxIdOfKey, snapshotIdOfKey } from "./derived-id.ts";

describe("sandboxIdOfKey", () => {
  it("is stable over releases", async () => {
    expect(await sandboxIdOfKey("a")).toBe("rsmouvib8x9f9n311h3rvj");
  });

  it("is a sandbox id for any key", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ minLength: 1 }), async (key) => {
        expect(SandboxId.parse(await sandboxIdOfKey(key))).toHaveLength(22);
      }),
    );
  });
});

describe("snapshotIdOfKey", () => {
  it("is an id, and another than a sandbox's of the same key", async () => {
    expect(SnapshotId.parse(await snapshotIdOfKey("a"))).toHaveLength(22);
    expect(await snapshotIdOfKey("a")).not.toBe(await sandboxIdOfKey("a"));
    expect(await snapshotIdOfKey("a")).toBe(await snapshotIdOfKey("a"));
  });
});

describe("commandIdOfKey", () => {
  it("is stable over releases and depends on sandbox and key", async () => {
    expect(await commandIdOfKey("s", "a")).toBe("3068eb28-16c5-8aaf-b557-ac7605bf2270");
    const others = await Promise.all([commandIdOfKey("s", "b"), commandIdOfKey("t", "a")]);
    expect(new Set(["3068eb28-16c5-8aaf-b557-ac7605bf2270", ...others]).size).toBe(3);
    expect(CommandId.safeParse(others[0]).success).toBe(true);
  });
});

describe("digestOf", () => {
  it("ignores the order of members and nothing else", async () => {
    const digest = await digestOf({ a: [1, { x: 1, y: 2 }], b: "c" });
    expect(digest).toMatch(/^[0-9a-f]{64}$/);
    expect(await digestOf({ b: "c", a: [1, { y: 2, x: 1 }] })).toBe(digest);
    expect(await digestOf({ a: [{ x: 1, y: 2 }, 1], b: "c" })).not.toBe(digest);
    expect(await digestOf({ a: [1, { x: 1, y: 2 }], b: "d" })).not.toBe(digest);
  });
});
