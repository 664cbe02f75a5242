import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLog } from "#core/log.ts";
import { lossesUnknown } from "#core/snapshot/losses.ts";
import { createManualClock } from "../../../../test/harness/manual-clock.ts";
import type { Dump } from "../../control/snapshot-work.ts";
import type { RecordTarget } from "../../domain/record/record-pod.ts";
import { createStaging } from "../staging.ts";
import { createDumper } from "./create-dumper.ts";
import { RunscFault, type CheckpointCommand } from "./run-checkpoint.ts";

const MIB = 2 ** 20;
const never = new AbortController().signal;
const TARGET: RecordTarget = { containerId: "c1", containerName: "main", podUid: "p1", image: "debian:13" };
let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "atoll-dump-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** A kernel that saves until a test lets it end. */
async function prepare(maxBytes = 1024 * MIB, isFull?: boolean) {
  const calls: (CheckpointCommand & { readonly done: PromiseWithResolvers<void> })[] = [];
  const clock = createManualClock();
  const staging = await createStaging({ dir, maxBytes, reserveBytes: 0 });
  const looked: string[] = [];
  const losses = async ({ containerId }: RecordTarget) => {
    looked.push(containerId);
    return [lossesUnknown("it is a test")];
  };
  const checkpoint = async (command: CheckpointCommand): Promise<void> => {
    const call = { ...command, done: Promise.withResolvers<void>() };
    await mkdir(command.folder);
    calls.push(call);
    await call.done.promise;
  };
  // A disk that has little room when it is asked first, and enough or none when it is asked again.
  const ports = { take: staging.take, roomBytes: async () => 100 * MIB, hasRoom: async () => isFull !== true };
  const dump = createDumper(
    { checkpoint, losses, staging: isFull === undefined ? staging : ports, clock, log: silentLog },
    { mostBytes: 512 * MIB, unlimitedBytes: 64 * MIB },
  );
  const places = async (): Promise<number> => (await readdir(dir)).length;
  return { calls, clock, staging, dump, places, looked };
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setImmediate(resolve));
}

describe("createDumper()", () => {
  test("keeps what was saved until it is removed, and says how far it is", async () => {
    const { calls, clock, staging, dump, places, looked } = await prepare();
    const seen: number[] = [];
    const dumping = dump(TARGET, { signal: never, onProgress: ({ bytesDone }) => void seen.push(bytesDone) });
    await until(() => calls.length === 1);
    await writeFile(join(calls[0]?.folder ?? "", "pages.img"), "12345");
    await clock.advance(250);
    await until(() => seen.includes(5));
    // The look would only take time from the container that stands still.
    expect(looked).toEqual([]);
    calls[0]?.done.resolve();
    const { folder, warnings, remove } = await dumping;
    expect(looked).toEqual(["c1"]);
    expect(await warnings).toEqual([lossesUnknown("it is a test")]);
    expect((await stat(join(folder, "pages.img"))).size).toBe(5);
    expect(staging.promisedBytes).toBe(128 * MIB);
    await remove();
    expect([await places(), staging.promisedBytes]).toEqual([0, 0]);
  });

  test.each([
    ["its own limit of disk", MIB, 1024, 65],
    ["the most of one dump", 4096 * MIB, 1024, 512],
    ["what a container without a limit gets", undefined, 1024, 128],
    ["half of what there is at present", 4096 * MIB, 300, 150],
  ])("gives a container no more room than %s", async (_, diskBytes, maxMebibytes, roomMebibytes) => {
    const { calls, staging, dump } = await prepare(maxMebibytes * MIB);
    const dumping = dump(diskBytes === undefined ? TARGET : { ...TARGET, diskBytes }, { signal: never });
    await until(() => calls.length === 1);
    expect(staging.promisedBytes).toBe(roomMebibytes * MIB);
    calls[0]?.done.resolve();
    await (await dumping).remove();
    expect(staging.promisedBytes).toBe(0);
  });

  test("a dump may grow beyond its promise as long as the disk has room, and is cut off when it has none", async () => {
    for (const isFull of [false, true]) {
      const { calls, clock, dump, staging } = await prepare(1024 * MIB, isFull);
      const dumping = dump(TARGET, { signal: never }).catch((error: unknown) => error);
      await until(() => calls.length === 1);
      expect(staging.promisedBytes).toBe(64 * MIB);
      const file = join(calls[0]?.folder ?? "", "pages.img");
      await writeFile(file, new Uint8Array(65 * MIB));
      await clock.advance(250);
      await clock.settle();
      if (isFull) await until(async () => (await stat(file)).size === 0);
      calls[0]?.done.resolve();
      if (isFull) expect(await dumping).toMatchObject({ reason: "DiskFull" });
      else await ((await dumping) as Dump).remove();
    }
  });

  test("a dump larger than its room is cut off again and again, and is none", async () => {
    const { calls, clock, dump, places } = await prepare();
    const failing = dump({ ...TARGET, diskBytes: 0 }, { signal: never }).catch((error: unknown) => error);
    await until(() => calls.length === 1);
    const file = join(calls[0]?.folder ?? "", "pages.img");
    for (let round = 0; round < 2; round += 1) {
      await writeFile(file, new Uint8Array(65 * MIB));
      await clock.advance(250);
      await until(async () => (await stat(file)).size === 0);
    }
    calls[0]?.done.resolve();
    expect(await failing).toMatchObject({ name: "RecordFault", reason: "TooLarge" });
    expect(await places()).toBe(0);
  });

  test("who leaves is not waited for; the next one of the sandbox begins, and the files go, when the kernel is done", async () => {
    const { calls, clock, dump, staging, places } = await prepare();
    const leave = new AbortController();
    const left = dump(TARGET, { signal: leave.signal });
    await until(() => calls.length === 1);
    leave.abort(new Error("left"));
    await expect(left).rejects.toThrow("left");
    const next = dump(TARGET, { signal: never });
    const other = dump({ ...TARGET, podUid: "p2" }, { signal: never });
    await until(() => calls.length === 2);
    await clock.settle();
    // The other sandbox's, not the second of the first.
    expect([calls.length, await places()]).toEqual([2, 2]);
    calls[0]?.done.resolve();
    await until(() => calls.length === 3);
    calls[1]?.done.resolve();
    calls[2]?.done.resolve();
    for (const dumped of await Promise.all([next, other])) await dumped.remove();
    expect([await places(), staging.promisedBytes]).toEqual([0, 0]);
  });

  test("what gVisor refuses leaves nothing", async () => {
    const { calls, dump, staging, places } = await prepare();
    const failing = dump(TARGET, { signal: never }).catch((error: unknown) => error);
    await until(() => calls.length === 1);
    await writeFile(join(dirname(calls[0]?.folder ?? ""), "runsc.log"), "");
    calls[0]?.done.reject(new RunscFault("no checkpointable filesystems"));
    expect(await failing).toMatchObject({ reason: "ContainerEnded" });
    expect([await places(), staging.promisedBytes]).toEqual([0, 0]);
  });
});
