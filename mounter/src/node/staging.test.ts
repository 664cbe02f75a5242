import { mkdtemp, readdir, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
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
