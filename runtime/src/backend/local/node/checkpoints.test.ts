import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createManualClock } from "../../../../../test/harness/manual-clock.ts";
import { silentLog } from "#core/log.ts";
import type { Boot } from "../machine.ts";
import type { BootFiles } from "./boot-files.ts";
import { createCheckpoints } from "./checkpoints.ts";
import { createStaging } from "./staging.ts";

let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "atoll-checkpoints-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** Checkpoints of a kernel that saves when it is told to. */
async function prepare() {
  const clock = createManualClock();
  const saved = Promise.withResolvers<void>();
  const staging = join(dir, "staging");
  const note = { id: "boot", pid: process.pid };
  const checkpoints = createCheckpoints({
    runsc: {
      checkpoint: async (_id, _name, to) => {
        await saved.promise;
        await mkdir(to);
        await writeFile(join(to, "pages.img"), "12345");
      },
    },
    files: { readNote: async () => note, pathsOf: () => ({ upperDir: dir }) } as unknown as BootFiles,
    control: { alive: async () => true },
    staging: await createStaging({ dir: staging, reserveBytes: 0 }),
    clock,
    log: silentLog,
  });
  const boot = { id: "boot", containers: ["main"], held: [{}] } as unknown as Boot;
  const take = (timeoutMs: number) =>
    checkpoints.take(boot, "main", { signal: new AbortController().signal, log: silentLog, timeoutMs });
  return { clock, saved, take, checkpoints, left: () => readdir(staging) };
}

describe("createCheckpoints()", () => {
  // The longest time that a request may give a snapshot, and one that timers of runtimes take for none at all.
  test.each([315_360_000_000, 3_000_000_000])("waits for a save that may take %d ms", async (timeoutMs) => {
    const { saved, take, clock } = await prepare();
    const taken = take(timeoutMs);
    await clock.advance(timeoutMs - 1);
    saved.resolve();
    expect(await taken).toMatchObject({ name: "000", bytes: 5 });
  });

  test("gives up when the time is over, and leaves nothing once the kernel has done with it", async () => {
    const { saved, take, clock, checkpoints, left } = await prepare();
    const taken = take(1000);
    taken.catch(() => undefined);
    await expect.poll(left).toHaveLength(1);
    await clock.advance(1000);
    await expect(taken).rejects.toMatchObject({ name: "CheckpointError", fault: "timeout" });
    saved.resolve();
    await checkpoints.close();
    await expect.poll(left).toEqual([]);
  });
});
