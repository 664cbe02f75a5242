import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { hasLeftOvers } from "./find-left-overs.ts";

let home = "";
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "atoll-left-"));
});
afterEach(() => rm(home, { recursive: true, force: true }));

describe("hasLeftOvers()", () => {
  test("finds none in a home that is new, or tidy", async () => {
    expect(await hasLeftOvers(join(home, "absent"))).toBe(false);
    for (const name of ["sandboxes", "boots", "images"]) await mkdir(join(home, name));
    await writeFile(join(home, "images", "x"), "");
    await writeFile(join(home, "sandboxes", "x.json.broken"), "{");
    expect(await hasLeftOvers(home)).toBe(false);
  });

  test.each(["sandboxes", "boots"])("finds what lies in %s", async (name) => {
    await mkdir(join(home, name, "one"), { recursive: true });
    expect(await hasLeftOvers(home)).toBe(true);
  });
});
