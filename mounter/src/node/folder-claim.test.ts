import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "#core/clock.ts";
import { createManualClock } from "../../../test/harness/manual-clock.ts";
import { claimFolder } from "./folder-claim.ts";

const never = new AbortController().signal;
let dir = "";
beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), "atoll-claim-"))));
afterEach(() => rm(dir, { recursive: true, force: true }));

test("claimFolder() waits a while for whoever has the folder, then says so", async () => {
  const clock = createManualClock();
  const first = await claimFolder(join(dir, "new"), clock, never);
  const second = clock.runUntil(claimFolder(join(dir, "new"), clock, never));
  await expect(second).rejects.toThrow(`Another mounter works in ${dir}/new; it has to end first`);
  first.release();
});

test("claimFolder() takes over what was released, even while it waits, and leaves other folders alone", async () => {
  const first = await claimFolder(dir, systemClock, never);
  const events: string[] = [];
  const second = claimFolder(dir, systemClock, never).then(() => events.push("second"));
  (await claimFolder(join(dir, "other"), systemClock, never)).release();
  events.push("released");
  first.release();
  await second;
  expect(events).toEqual(["released", "second"]);
});

test("claimFolder() does not wait for a folder that it cannot claim at all", async () => {
  await writeFile(join(dir, "file"), "");
  await expect(claimFolder(join(dir, "file"), createManualClock(), never)).rejects.toThrow("EEXIST");
});
