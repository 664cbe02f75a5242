import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readInRoot, resolveInRoot } from "./image-tree.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "atoll-tree-"));
});
afterEach(() => rm(root, { recursive: true }));

describe("resolveInRoot()", () => {
  test("follows relative and absolute symlinks, and never above the root", async () => {
    await mkdir(join(root, "a/b"), { recursive: true });
    await symlink("/a", join(root, "absolute"));
    await symlink("../../../../a/./b", join(root, "a/b/up"));
    await symlink("absolute/b", join(root, "chain"));
    expect(await resolveInRoot(root, "/absolute/b")).toBe(join(root, "a/b"));
    expect(await resolveInRoot(root, "a/b/up")).toBe(join(root, "a/b"));
    expect(await resolveInRoot(root, "chain/../..")).toBe(root);
    expect(await resolveInRoot(root, "../../a")).toBe(join(root, "a"));
  });

  test("answers nothing for what is absent, dangling, in a loop or below a file", async () => {
    await writeFile(join(root, "file"), "");
    await symlink("loop", join(root, "loop"));
    await symlink("/nowhere", join(root, "dangling"));
    for (const path of ["absent", "loop", "dangling", "file/below"])
      expect(await resolveInRoot(root, path)).toBeUndefined();
  });
});

describe("readInRoot()", () => {
  test("reads a file up to its bound", async () => {
    await writeFile(join(root, "file"), "12345");
    expect(await readInRoot(root, "/file", 5)).toBe("12345");
    expect(await readInRoot(root, "/file", 4)).toBeUndefined();
    expect(await readInRoot(root, "/", 4)).toBeUndefined();
  });
});
