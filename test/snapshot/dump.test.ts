import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dumpFault } from "#mounter/domain/record/dump-fault.ts";
import { createArchive } from "#mounter/node/archive/create-archive.ts";
import { storedFile } from "#mounter/node/archive/stored-file.ts";
import { runCheckpoint, RunscFault } from "#mounter/node/dump/run-checkpoint.ts";
import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { bareRunsc } from "./bare-runsc.ts";
import { startSnapshotLab, type SnapshotLab } from "./lab.ts";

const MOST_TAR_BYTES = 2 ** 28;
const never = new AbortController().signal;

let lab: SnapshotLab;
let runsc: string;

beforeAll(async () => {
  lab = await startSnapshotLab();
  runsc = await bareRunsc(lab.directory);
}, 60_000);
afterAll(() => lab?.[Symbol.asyncDispose]());

/** As the mounter does it: it knows where the state lies, the container's id and its name, and nothing else. */
async function dump(name: string, id = name): Promise<string> {
  const place = join(lab.directory, `dump-${id}-${Math.random().toString(36).slice(2)}`);
  await mkdir(place, { mode: 0o700 });
  const command = {
    containerId: `snapshot-${lab.directory.slice(-6)}-${id}`,
    containerName: name,
    folder: join(place, "image"),
    logPath: join(place, "runsc.log"),
    timeoutMs: 60_000,
  };
  await runCheckpoint({ path: runsc, rootDir: join(lab.directory, "state") }, command);
  return command.folder;
}

async function reasonOf(dumping: Promise<string>): Promise<string> {
  const error: unknown = await dumping.then(
    () => undefined,
    (fault: unknown) => fault,
  );
  return error instanceof RunscFault ? dumpFault(error.said, "main", error).reason : String(error);
}

describe("runCheckpoint()", () => {
  test("saves a container by its state folder alone, without a capability and out of sight of its processes", async () => {
    await lab.add("main");
    await lab.exec(
      "main",
      "sh",
      "-c",
      "mkdir /srv/a; echo kept > /srv/a/file; rm /etc/hostname; truncate -s 1G /srv/hole",
    );
    const folder = await dump("main");
    const archive = createArchive();
    await using taken = await archive.take(folder, { containerName: "main", mostTarBytes: 2 ** 31 }, never);
    expect(taken.warnings.map(({ code }) => code)).toContain("HolesFilled");
    // The sandbox went on.
    expect(await lab.exec("main", "cat", "/srv/a/file")).toBe("kept\n");
  }, 60_000);

  test("what it saved is what another container starts from", async () => {
    await lab.add("source");
    await lab.exec(
      "source",
      "sh",
      "-c",
      "mkdir /srv/b; echo copied > /srv/b/file; rm -f /etc/issue; chmod 0741 /srv/b",
    );
    const folder = await dump("source");
    const archive = createArchive();
    await using taken = await archive.take(folder, { containerName: "source", mostTarBytes: MOST_TAR_BYTES }, never);
    const packed = taken.open(never);
    const path = join(lab.directory, "packed");
    await pipeline(packed.chunks, createWriteStream(path));
    const target = join(lab.directory, "archive.tar");
    const layers = [storedFile(path, packed.sums())];
    await archive.merge({ layers, scratch: lab.directory, target, mostTarBytes: MOST_TAR_BYTES }, never);
    await lab.add("copy", target);
    expect(
      await lab.exec("copy", "sh", "-c", "cat /srv/b/file; stat -c %a /srv/b; ls /etc/issue 2>&1 || true"),
    ).toMatch(/^copied\n741\n.*No such file/s);
  }, 60_000);

  test("says why in words that a record can bear", async () => {
    await lab.add("short");
    await lab.exec("short", "true");
    expect(await reasonOf(dump("short", "unknown"))).toBe("SandboxLost");
    expect(await reasonOf(dump("strange", "short"))).toBe("ContainerEnded");
    await lab.exec("short", "sh", "-c", "kill -9 1").catch(() => undefined);
    expect(await reasonOf(dump("short"))).toBe("ContainerEnded");
  }, 60_000);
});
