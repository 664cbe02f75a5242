import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bundleAgent } from "../sidecar/build.ts";

test("bundleAgent() takes in no library and few modules: each is paid for at every start of a sandbox", async () => {
  const directory = await mkdtemp(join(tmpdir(), "atoll-bundle-"));
  try {
    const parts = await bundleAgent(join(directory, "agent.js"));
    expect(parts.some((part) => part.endsWith("sidecar/src/app.ts"))).toBe(true);
    expect(parts.filter((part) => part.includes("node_modules"))).toEqual([]);
    expect([...new Set(parts.filter((part) => part.includes(":")))].toSorted()).toEqual(["bun:ffi", "node:fs"]);
  } finally {
    await rm(directory, { recursive: true });
  }
});
