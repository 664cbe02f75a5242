import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLog } from "#core/log.ts";
import type { SetupContext } from "../step.ts";
import { agentImageStep } from "./agent-image.ts";
import { copyGlibc } from "./glibc.ts";

const run = promisify(execFile);
const BUN = `node_modules/@oven/bun-linux-${process.arch === "arm64" ? "aarch64" : process.arch}/bin/bun`;
let dir: string;
let context: SetupContext;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "atoll-agent-image-"));
  const [home, repo] = [join(dir, "home"), join(dir, "repo")];
  context = { home, repo, progress: () => {}, signal: new AbortController().signal, log: silentLog };
  for (const path of ["sidecar/main.ts", "api/src/a.ts", "core/src/b.ts", BUN]) await put(path, path);
  await copyFile("/bin/true", join(repo, BUN));
  // This machine's own C library stands in for the base image's.
  await copyGlibc("/", home);
});
afterEach(() => rm(dir, { recursive: true }));

async function put(path: string, content: string): Promise<void> {
  await mkdir(dirname(join(context.repo, path)), { recursive: true });
  await writeFile(join(context.repo, path), content);
}

/** Compiles stand-ins of the agent's parts; `library` is the source of its native half. */
const builder =
  (library: string) =>
  async (outDir: string): Promise<void> => {
    await writeFile(join(outDir, "agent.js"), "");
    for (const name of ["atoll-init", "atoll-losses", "atoll-hold", "sentry-prewarmer"])
      await writeFile(join(outDir, name), "");
    await writeFile(join(outDir, "library.c"), library);
    await run("cc", ["-shared", "-fPIC", "-o", join(outDir, "libatoll.so"), join(outDir, "library.c")]);
  };

describe("agentImageStep()", () => {
  test("builds once, and anew when a source changes but not when a test does", async () => {
    const step = agentImageStep({ buildAgent: builder("int one(void) { return 1; }") });
    expect(await step.check(context)).toEqual({ needed: true, reason: "it is not built" });
    await step.run(context);
    expect((await step.check(context)).needed).toBe(false);
    await put("sidecar/main.test.ts", "a test");
    expect((await step.check(context)).needed).toBe(false);
    await put("core/src/b.ts", "changed");
    expect(await step.check(context)).toEqual({ needed: true, reason: "its sources changed" });
    await step.run(context);
    expect((await step.check(context)).needed).toBe(false);
    expect((await stat(join(context.home, "agent/rootfs.erofs"))).size).toBeGreaterThan(1_000_000);
  });

  test("refuses native parts that do not load with the image's libraries, and leaves the old image", async () => {
    await agentImageStep({ buildAgent: builder("") }).run(context);
    const before = await stat(join(context.home, "agent/rootfs.erofs"));
    const broken = agentImageStep({
      buildAgent: async (outDir) => {
        await builder("")(outDir);
        await run("cc", [
          "-shared",
          "-nostdlib",
          "-Wl,-soname,libabsent.so",
          "-o",
          join(outDir, "libabsent.so"),
          "-xc",
          "/dev/null",
        ]);
        await run("cc", [
          "-shared",
          "-nostdlib",
          "-Wl,--no-as-needed",
          "-o",
          join(outDir, "libatoll.so"),
          join(outDir, "libabsent.so"),
        ]);
      },
    });
    await expect(broken.run(context)).rejects.toThrow(
      /^The agent does not load with the C library of the base image: .*libabsent\.so.*\.$/,
    );
    expect((await stat(join(context.home, "agent/rootfs.erofs"))).ino).toBe(before.ino);
  });
});
