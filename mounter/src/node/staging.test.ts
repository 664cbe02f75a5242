import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSpareDisk } from "../domain/spare-disk.ts";
import { createStaging } from "./staging.ts";

const call = { signal: new AbortController().signal };
let dir = "";
beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), "atoll-staging-"))));
afterEach(() => rm(dir, { recursive: true, force: true }));

test("createStaging() lets in what fits, makes the others wait, and cleans what an ended process left", async () => {
  const before = await createStaging({ dir, maxBytes: 100, reserveBytes: 0 });
  await writeFile(join((await before.take(100, call)).dir, "left"), "x");
  await writeFile(join(dir, "not ours"), "x");
  const staging = await createStaging({ dir, maxBytes: 100, reserveBytes: 0 });
  expect(await readdir(dir)).toEqual(["not ours"]);
  const place = await staging.take(60, call);
  const abort = new AbortController();
  const leaving = staging.take(60, { signal: abort.signal });
  const waiting = staging.take(70, call);
  abort.abort(new Error("left"));
  await expect(leaving).rejects.toThrow("left");
  expect(staging.promisedBytes).toBe(60);
  await place.remove();
  await place.remove();
  await waiting;
  expect(staging.promisedBytes).toBe(70);
});

test("createStaging() refuses what can never fit, and leaves the disk its reserve", async () => {
  const staging = await createStaging({ dir, maxBytes: 100, reserveBytes: 0 });
  await expect(staging.take(101, call)).rejects.toMatchObject({ name: "SnapshotFault", code: "full" });
  const careful = await createStaging({ dir, maxBytes: 100, reserveBytes: Number.MAX_SAFE_INTEGER / 2 });
  await expect(careful.take(1, call)).rejects.toMatchObject({ code: "full" });
  expect(careful.promisedBytes).toBe(0);
});

test("roomBytes() is what the disk still has beside reserve and promises, up to the bound", async () => {
  const staging = await createStaging({ dir, maxBytes: 100, reserveBytes: 0 });
  expect(await staging.roomBytes()).toBe(100);
  const { bavail, bsize } = await statfs(dir);
  const freeBytes = bavail * bsize;
  const careful = await createStaging({ dir, maxBytes: freeBytes * 2, reserveBytes: Math.floor(freeBytes / 2) });
  const before = await careful.roomBytes();
  await careful.take(Math.floor(freeBytes / 4), call);
  const after = await careful.roomBytes();
  // Others write to this disk, too: a sixteenth of it is no small change.
  expect(Math.abs(before - freeBytes / 2)).toBeLessThan(freeBytes / 16);
  expect(Math.abs(before - after - freeBytes / 4)).toBeLessThan(freeBytes / 16);
  const full = await createStaging({ dir, maxBytes: 100, reserveBytes: Number.MAX_SAFE_INTEGER / 2 });
  expect(await full.roomBytes()).toBe(0);
});

describe("createStaging() where the disk is full of what others only keep", () => {
  const MIB = 2 ** 20;

  /** A disk with 256 MiB beside the reserve, and a GiB that its keeper can do without. */
  async function prepare() {
    const kept = join(dir, "kept");
    await promisify(execFile)("fallocate", ["-l", String(1024 * MIB), kept]);
    const { bavail, bsize } = await statfs(dir);
    const world = { spareBytes: 1024 * MIB, given: [] as number[] };
    const spare = createSpareDisk();
    spare.add({
      get spareBytes() {
        return world.spareBytes;
      },
      giveUp: async (bytes) => {
        world.given.push(bytes);
        await rm(kept);
        world.spareBytes = 0;
      },
    });
    const bounds = { maxBytes: 4096 * MIB, reserveBytes: bavail * bsize - 256 * MIB };
    return { world, staging: await createStaging({ dir, spare, ...bounds }) };
  }

  test("has it given up for what does not fit beside it, and for nothing else", async () => {
    const { world, staging } = await prepare();
    expect(await staging.roomBytes()).toBeLessThan(512 * MIB);
    await (await staging.take(64 * MIB, call)).remove();
    expect(world.spareBytes).toBe(1024 * MIB);
    const place = await staging.take(768 * MIB, call);
    expect(world.spareBytes).toBe(0);
    await expect(staging.take(1024 * MIB, call)).rejects.toMatchObject({ code: "full" });
    await place.remove();
  });

  test("has it given up for what grows beyond its promise, and keeps it where it would not do", async () => {
    const { world, staging } = await prepare();
    expect(await staging.hasRoom(3072 * MIB, 0)).toBe(false);
    expect(await staging.hasRoom(64 * MIB, 0)).toBe(true);
    expect(world.spareBytes).toBe(1024 * MIB);
    expect(await staging.hasRoom(768 * MIB, 0)).toBe(true);
    // More than is missing: the next bytes of what grows would be too fast for another look.
    expect(world.given).toEqual([1024 * MIB]);
    expect(world.spareBytes).toBe(0);
  });
});
