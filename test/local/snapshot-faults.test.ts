import { execFileSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Atoll, SnapshotFailedError } from "#sdk";
import { makeHome, startGateway, type GatewayProcess } from "../harness/gateway-process.ts";
import { expectOneMoment, startWriteLoad } from "../snapshot/write-load.ts";
import { unpackWhole } from "../mounter/unpack-whole.ts";

const image = "atoll/debian";

describe("snapshots on one machine", { timeout: 120_000 }, () => {
  let gateway: GatewayProcess;
  let client: Atoll;
  let store = "";
  beforeAll(async () => {
    gateway = await startGateway();
    client = new Atoll({ url: gateway.url });
    store = join(gateway.home, "snapshots/rootfssnapshots/isola-sandboxes");
  }, 60_000);
  afterAll(() => gateway.dispose(), 60_000);

  const layersOf = (name: string): string[] =>
    readdirSync(store).filter((file) => file.startsWith(`${name}.`) && file.endsWith(".tar.zst"));

  async function failureOf(
    name: string,
    settings: object = {},
  ): Promise<{ status: string; reason?: string; message?: string }> {
    const { id } = await client.sandboxes.create({ image, rootfsSnapshotName: name, ...settings }, { maxWaitMs: 0 });
    let seen = await client.sandboxes.get(id);
    while (seen.status === "Pending") {
      await new Promise((done) => setTimeout(done, 50));
      seen = await client.sandboxes.get(id);
    }
    const { status, reason, message } = seen;
    await seen.delete();
    return { status, ...(reason === undefined ? {} : { reason }), ...(message === undefined ? {} : { message }) };
  }

  it("hold what is written all the time as of one moment: a database opens clean, a file is its old or its new self", async () => {
    const sandbox = await client.sandboxes.create({ image });
    const writer = await startWriteLoad(sandbox);
    for (let round = 0; round < 2; round += 1) {
      await sandbox.snapshot({ snapshotName: "steady" });
      const restored = await client.sandboxes.create({ image, rootfsSnapshotName: "steady" });
      await expectOneMoment(restored);
      await restored.delete();
    }
    await writer.kill();
    await sandbox.delete();
  });

  it("that are damaged in the store are not restored, and it is said", async () => {
    const sandbox = await client.sandboxes.create({ image });
    await sandbox.commands.run(["sh", "-c", "head -c 3000000 /dev/urandom > /srv/data"]);
    await sandbox.snapshot({ snapshotName: "flipped" });
    const layer = join(store, layersOf("flipped")[0] ?? "");
    const handle = openSync(layer, "r+");
    writeSync(handle, new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]), 0, 8, Math.floor(statSync(layer).size / 2));
    closeSync(handle);
    expect(await failureOf("flipped")).toMatchObject({ status: "Failed", reason: "SnapshotDamaged" });
    await sandbox.snapshot({ snapshotName: "lost" });
    rmSync(join(store, layersOf("lost")[0] ?? ""));
    expect(await failureOf("lost")).toMatchObject({ status: "Failed", reason: "SnapshotDamaged" });
    await sandbox.delete();
  });

  it("without a manifest are restored with a word of warning, and whole ones come out of them; a cut one is refused", async () => {
    const sandbox = await client.sandboxes.create({ image });
    await sandbox.commands.run([
      "sh",
      "-c",
      "mkdir -p /srv/deep; head -c 200000 /dev/urandom > /srv/deep/data; rm /etc/issue",
    ]);
    const sum = (await sandbox.commands.run(["sha1sum", "/srv/deep/data"])).stdout;
    const { snapshotKey } = await sandbox.snapshot({ snapshotName: "made" });
    expect(snapshotKey).toBe("rootfssnapshots/isola-sandboxes/made.json");
    const raw = join(store, "raw.tar");
    const bytes = unpackWhole(readFileSync(join(store, layersOf("made")[0] ?? "")));
    writeFileSync(raw, bytes);
    const restored = await client.sandboxes.create({ image, rootfsSnapshotName: "raw" });
    expect((await client.sandboxes.get(restored.id)).message).toMatch(/"raw" is an archive without a manifest/);
    expect((await restored.commands.run(["sha1sum", "/srv/deep/data"])).stdout).toBe(sum);
    await restored.filesystem.write("/srv/more", "of it");
    await restored.snapshot({ snapshotName: "whole" });
    rmSync(raw);
    const again = await client.sandboxes.create({ image, rootfsSnapshotName: "whole" });
    const { stdout } = await again.commands.run([
      "sh",
      "-c",
      "sha1sum /srv/deep/data; cat /srv/more; ls /etc/issue 2>&1",
    ]);
    expect(stdout).toBe(`${sum}of itls: cannot access '/etc/issue': No such file or directory\n`);
    writeFileSync(join(store, "cut.tar"), bytes.subarray(0, 100_000));
    expect(await failureOf("cut")).toEqual({
      status: "Failed",
      reason: "SnapshotDamaged",
      message: expect.stringMatching(
        /^The snapshot cannot be restored: the archive is cut within "\/.+" \(at byte 100000\)\.$/,
      ),
    });
    await Promise.all([sandbox, restored, again].map((each) => each.delete()));
  });

  it("that stand upon each other more than the store should keep become one", async () => {
    let sandbox = await client.sandboxes.create({ image });
    for (let depth = 0; depth < 10; depth += 1) {
      await sandbox.filesystem.write(`/srv/${depth}`, `${depth}`);
      await sandbox.snapshot({ snapshotName: "deep" });
      await sandbox.delete();
      sandbox = await client.sandboxes.create({ image, rootfsSnapshotName: "deep" });
    }
    const { stdout } = await sandbox.commands.run(["sh", "-c", "cat $(ls -v /srv/*)"]);
    expect(stdout).toBe("0123456789");
    const { layers } = JSON.parse(readFileSync(join(store, "deep.json"), "utf8")) as { layers: unknown[] };
    expect(layers.length).toBeLessThanOrEqual(3);
    await sandbox.delete();
  });

  it("for which the machine's disk has no room fail alone, and succeed when it has", async () => {
    const sandbox = await client.sandboxes.create({ image });
    await sandbox.commands.run(["sh", "-c", "head -c 50000000 /dev/urandom > /srv/data"]);
    const staging = join(gateway.home, "staging");
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=32m,mode=0700", "tmpfs", staging]);
    try {
      const failure = await sandbox.snapshot({ snapshotName: "large" }).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(SnapshotFailedError);
      expect(failure).toMatchObject({ reason: "DiskFull" });
      expect((await sandbox.commands.run(["sh", "-c", "echo well; wc -c < /srv/data"])).stdout).toBe(
        "well\n50000000\n",
      );
    } finally {
      execFileSync("umount", ["--lazy", staging]);
    }
    expect((await sandbox.snapshot({ snapshotName: "large" })).status).toBe("Succeeded");
    const restored = await client.sandboxes.create({ image, rootfsSnapshotName: "large" });
    expect((await restored.commands.run(["sh", "-c", "wc -c < /srv/data"])).stdout).toBe("50000000\n");
    await Promise.all([sandbox.delete(), restored.delete()]);
  });

  it("for which the store has no room fail alone, and smaller ones succeed", async () => {
    const home = makeHome();
    const small = join(home, "small");
    mkdirSync(small);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs", small]);
    const other = await startGateway({ home, env: { ATOLL_SNAPSHOT_STORE: `file://${small}` } });
    try {
      const sandbox = await new Atoll({ url: other.url }).sandboxes.create({ image });
      await sandbox.commands.run(["sh", "-c", "head -c 50000000 /dev/urandom > /srv/data"]);
      const failure = await sandbox.snapshot({ snapshotName: "large" }).catch((error: unknown) => error);
      expect(failure).toMatchObject({
        reason: "StoreFailed",
        message: expect.stringMatching(/room|space|full/) as string,
      });
      await sandbox.commands.run(["truncate", "-s", "1000", "/srv/data"]);
      expect((await sandbox.snapshot({ snapshotName: "small" })).status).toBe("Succeeded");
      await sandbox.delete();
    } finally {
      execFileSync("umount", ["--lazy", small]);
      await other.dispose();
    }
  });
});
