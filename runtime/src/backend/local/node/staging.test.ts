import { existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createStaging } from "./staging.ts";

let home = "";
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "atoll-staging-"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

describe("createStaging()", () => {
  test("promises the same disk to one only, and again when that one is done", async () => {
    const { bavail, bsize } = statfsSync(home);
    const half = Math.floor((bavail * bsize) / 2);
    const staging = await createStaging({ dir: join(home, "staging"), reserveBytes: Math.floor(half / 2) });
    const first = await staging.take(half);
    expect(await staging.take(half)).toBeUndefined();
    await first?.remove();
    await first?.remove();
    expect(existsSync(first?.dir ?? "")).toBe(false);
    expect((await staging.take(half))?.dir).toMatch(/place-/);
  });

  test("removes what an earlier process left", async () => {
    mkdirSync(join(home, "staging/place-old"), { recursive: true });
    writeFileSync(join(home, "staging/place-old/pages.img"), "x");
    await createStaging({ dir: join(home, "staging"), reserveBytes: 0 });
    expect(existsSync(join(home, "staging/place-old"))).toBe(false);
  });
});
