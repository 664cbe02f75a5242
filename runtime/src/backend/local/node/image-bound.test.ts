import { mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "#core/clock.ts";
import { call, directory, file, useImageStore } from "../../../../test/images/store-harness.ts";
import { fillWithin, measureTree } from "./image-bound.ts";
import { runTool } from "./image-tool.ts";

const MIB = 2 ** 20;
const env = { PATH: process.env["PATH"] ?? "" };
const signal = new AbortController().signal;

describe("an image whose layers are small and whose tree is large", () => {
  const h = useImageStore();

  test.each([
    ["one long file", [file("zeros", new Uint8Array(65 * MIB))]],
    ["files without number", [directory("d"), ...Array.from({ length: 17_000 }, (_, n) => file(`d/${n}`, ""))]],
  ])("is refused for %s, and leaves nothing", async (name, layer) => {
    const reference = await h.push(name.replaceAll(" ", "-"), [layer]);
    const tight = await h.createStore({ maxUnpackedBytes: 64 * MIB });
    await expect(tight.acquire(reference, call)).rejects.toMatchObject({
      fault: "unusable",
      reason: "ImagePullFailed",
      message: expect.stringMatching(/cannot be used: it unpacks to more than 67108864 bytes\.$/),
    });
    expect(await h.litter()).toEqual([]);
    await tight.close();
  });

  test("is taken where the bound allows it", async () => {
    const reference = await h.push("fits", [[file("zeros", new Uint8Array(65 * MIB))]]);
    const wide = await h.createStore({ maxUnpackedBytes: 80 * MIB });
    expect((await wide.acquire(reference, call)).digest).toMatch(/^sha256:/);
    await wide.close();
  });
});

describe("a folder", () => {
  let root = "";
  beforeEach(async () => {
    root = join(await mkdtemp(join(tmpdir(), "atoll-tree-")), "root");
    await mkdir(root);
  });
  afterEach(() => rm(join(root, ".."), { recursive: true, force: true }));

  const bound = () => ({ root, maxBytes: 32 * MIB, refusal: () => new Error("too large") });

  test("that is filled for ever is stopped", async () => {
    const endless = "while :; do head -c 1000000 /dev/zero >> more; done";
    const filling = fillWithin(bound(), { signal, clock: systemClock, env }, async (stop) => {
      await runTool("sh", ["-c", endless], { signal: stop, env, cwd: root });
    });
    await expect(filling).rejects.toThrow("too large");
  });

  test("that is filled beyond its bound between two looks is refused at the end", async () => {
    const filling = fillWithin(bound(), { signal, clock: systemClock, env }, () =>
      writeFile(join(root, "x"), new Uint8Array(33 * MIB)),
    );
    await expect(filling).rejects.toThrow("too large");
  });

  test("keeps the fault of what fills it", async () => {
    const filling = fillWithin(bound(), { signal, clock: systemClock, env }, () => Promise.reject(new Error("torn")));
    await expect(filling).rejects.toThrow("torn");
  });

  test("is measured by what it says, not only by what lies on disk", async () => {
    await writeFile(join(root, "hole"), "");
    await truncate(join(root, "hole"), 100 * MIB);
    expect(await measureTree(root, { signal, env })).toBeGreaterThanOrEqual(100 * MIB);
  });
});
