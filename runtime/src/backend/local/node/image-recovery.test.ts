import { spawn } from "node:child_process";
import { readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import { installReference } from "./image-files.ts";
import { call, file, useImageStore } from "../../../../test/images/store-harness.ts";

const h = useImageStore();

describe("createImageStore()", () => {
  const phases = ["resolve", "download", "unpack", "pack"] as const;

  test.each(phases)(
    "leaves no litter and no process after kill -9 in phase %s, and the image can be had",
    async (phase) => {
      const reference = await h.push(`killed-${phase}`, [
        Array.from({ length: 300 }, (_, index) => file(`dir/${index}`, "x".repeat(9000))),
      ]);
      await killDuring(phase, reference);
      await expect.poll(() => processesIn(h.dir), { interval: 20, timeout: 10_000 }).toEqual([]);
      await h.store.close();
      h.store = await h.createStore();
      expect(await h.litter()).toEqual([]);
      const image = await h.store.acquire(reference, call);
      const root = await h.extract(image.erofsPath);
      expect(await readdir(join(root, "dir"))).toHaveLength(300);
    },
  );

  test("removes what is not whole: a file without record, a record without file, a shortened file, a dangling reference", async () => {
    const [whole, shortened] = [await h.push("whole", [[file("a")]]), await h.push("shortened", [[file("b")]])];
    const kept = await h.store.acquire(whole, call);
    const broken = await h.store.acquire(shortened, call);
    await truncate(broken.erofsPath, 4096);
    await writeFile(join(h.dir, `${"0".repeat(64)}.erofs`), "half");
    await writeFile(join(h.dir, `${"1".repeat(64)}.json`), "{}");
    await installReference(h.dir, "docker.io/library/x:latest", { digest: `sha256:${"2".repeat(64)}` });
    await h.store.close();
    h.store = await h.createStore();
    expect(h.store.list().map(({ digest, references }) => [digest, references])).toEqual([
      [kept.digest, [`${whole}:latest`]],
    ]);
    expect((await readdir(h.dir)).filter((name) => /erofs|json/.test(name))).toHaveLength(2);
    expect(await readdir(join(h.dir, "references"))).toHaveLength(1);
  });
});

/** Pulls in a process of its own and kills it as soon as it reports the phase. */
async function killDuring(phase: string, reference: string): Promise<void> {
  const program = new URL("../../../../test/images/pull-process.ts", import.meta.url).pathname;
  const child = spawn(process.execPath, [program, h.dir, reference, h.proxy.host], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  createInterface(child.stdout).on("line", (line) => {
    if (line === phase) child.kill("SIGKILL");
  });
  await ended;
  expect(child.signalCode).toBe("SIGKILL");
}

async function processesIn(path: string): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name) && name !== String(process.pid));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return lines.filter((line) => line.includes(path));
}
