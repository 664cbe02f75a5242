import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLog } from "#core/log.ts";
import type { SetupContext } from "../step.ts";
import { systemPackagesStep } from "./system-packages.ts";

let dir: string;
let context: SetupContext;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "atoll-packages-"));
  context = { home: dir, repo: dir, progress: () => {}, signal: new AbortController().signal, log: silentLog };
  await writeFile(join(dir, "present"), "", { mode: 0o755 });
  await writeFile(join(dir, "not-executable"), "", { mode: 0o644 });
});
afterEach(() => rm(dir, { recursive: true }));

describe("systemPackagesStep()", () => {
  test("names each missing package once", async () => {
    const requirements = [
      { needs: "present", package: "a" },
      { needs: "not-executable", package: "b" },
      { needs: "absent", package: "c" },
      { needs: "absent-too", package: "c" },
      { needs: join(dir, "not-executable"), package: "d" },
      { needs: join(dir, "absent"), package: "e" },
    ];
    const step = systemPackagesStep({ searchPath: `/nowhere:${dir}`, requirements });
    expect(await step.check(context)).toEqual({ needed: true, reason: "missing: b, c, e" });
  });

  test("has nothing to do when all is there, and says what is missing where there is no APT", async () => {
    const here = [{ needs: "present", package: "a" }];
    const complete = systemPackagesStep({ searchPath: dir, requirements: here });
    expect(await complete.check(context)).toEqual({ needed: false });
    await complete.run(context);
    const lacking = systemPackagesStep({ searchPath: dir, requirements: [{ needs: "absent", package: "skopeo" }] });
    await expect(lacking.run(context)).rejects.toThrow(
      "This machine lacks skopeo and has no apt-get; install them with its own package manager.",
    );
  });
});
