import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readHead } from "./read-head.ts";
import { createRunsc, RunscError, type RunscCall } from "./runsc.ts";

let dir = "";
let where: RunscCall;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "atoll-runsc-"));
  for (const name of ["state", "boot", "boot/upper"]) await mkdir(join(dir, name));
  where = { bootDir: join(dir, "boot"), upperDir: join(dir, "boot/upper") };
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const runsc = () =>
  createRunsc({
    path: process.env["ATOLL_RUNSC"] ?? "/var/lib/atoll/bin/runsc",
    rootDir: join(dir, "state"),
    platform: "systrap",
  });

describe("createRunsc()", () => {
  test("rejects with runsc's own words, and leaves no log of the call", async () => {
    const failed = await runsc()
      .start("nobody", where)
      .catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(RunscError);
    expect((failed as RunscError).message).toMatch(/^runsc start failed: .*loading container: file does not exist$/);
    expect(await readdir(where.bootDir)).toEqual(["upper"]);
  });

  test("takes the absence of a container for its removal", async () => {
    await expect(runsc().remove(["nobody"], where)).resolves.toBeUndefined();
  });
});

describe("readHead()", () => {
  test("reads no more than asked, and nothing of a file that is not there", async () => {
    await writeFile(join(dir, "long"), "word ".repeat(10_000));
    expect(await readHead(join(dir, "long"), 9)).toBe("word word");
    expect(await readHead(join(dir, "absent"), 9)).toBe("");
  });
});
