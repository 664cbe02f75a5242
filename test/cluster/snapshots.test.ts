import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SANDBOX_NAMESPACE } from "#core/kubernetes/names.ts";
import { restoreMemoryBytes } from "#core/snapshot/restore-bound.ts";
import { manifestKey, rawKey } from "#core/snapshot/snapshot-keys.ts";
import { until } from "../harness/until.ts";
import { expectOneMoment, startWriteLoad } from "../snapshot/write-load.ts";
import { newName, openSnapshotStage, run, type SnapshotStage } from "./snapshot-stage.ts";
import { unpackWhole } from "../mounter/unpack-whole.ts";

const TEST_MS = 180_000;
const SANDBOXES = 10;
const DATA_BYTES = 6_000_000;
const REMOVED_MS = 90_000;

/** Changes an image in several ways. */
const CHANGE = `mkdir -p /srv/deep; head -c ${DATA_BYTES} /dev/urandom >/srv/deep/data; ln -s deep/data /srv/link
  chmod 4750 /srv/deep/data; rm /etc/issue; rm -r /usr/share/perl5; mkdir /usr/share/perl5; echo >>/etc/shells`;
/** What stands for all that it may have changed. */
const SUM = `cd /; for what in "-printf %p:%y:%m:%U:%G:%l\\n" "-type f -exec sha1sum {} +"; do
  find srv usr/share/perl5 etc/issue etc/shells $what 2>&1 | sort; done | sha1sum`;

let stage: SnapshotStage;
beforeAll(async () => {
  stage = await openSnapshotStage();
}, 60_000);
afterAll(() => stage?.dispose(), TEST_MS);

/** How much of a snapshot's layers the store has handed out. */
function bytesRead(name: string): number {
  const reads = stage.store.proxy
    .seen()
    .filter(({ method, path }) => method === "GET" && path.includes(`/${name}.`) && path.includes(".tar.zst"));
  return reads.reduce((sum, { answerBytes }) => sum + answerBytes, 0);
}

describe("snapshots on Kubernetes", { timeout: TEST_MS }, () => {
  it(`start ${SANDBOXES} sandboxes at once, each with what was there, and come to their node once`, async () => {
    const source = await stage.create();
    const before = await run(source, SUM);
    await run(source, CHANGE);
    const sum = await run(source, SUM);
    expect(sum).not.toBe(before);
    const name = newName();
    const snapshot = await source.snapshot({ snapshotName: name });
    expect(snapshot).toMatchObject({ status: "Succeeded", snapshotKey: manifestKey(SANDBOX_NAMESPACE, name) });
    expect(snapshot.base?.digest).toMatch(/^sha256:/);
    expect(snapshot.bytes).toBeGreaterThan(DATA_BYTES);
    expect((await stage.store.manifest(name))?.writeId).toBe((await stage.record(snapshot.id)).metadata.uid);
    const verified = bytesRead(name);
    const restored = await Promise.all(
      Array.from({ length: SANDBOXES }, () => stage.create({ rootfsSnapshotName: name })),
    );
    expect(await Promise.all(restored.map((sandbox) => run(sandbox, SUM)))).toEqual(restored.map(() => sum));
    expect(bytesRead(name) - verified).toBe(snapshot.bytes);
    // Each is on its own from here on.
    const [first, second] = restored;
    if (first === undefined || second === undefined) throw new Error("No sandboxes");
    await run(first, "echo changed >/srv/deep/data");
    expect(await run(second, SUM)).toBe(sum);
    await Promise.all(restored.map((sandbox) => sandbox.delete()));
  });

  it("that need more memory than a sandbox has are refused before anything of them comes, with both amounts", async () => {
    const source = await stage.create();
    await run(source, "truncate --size=300M /srv/big");
    const name = newName();
    const { warnings } = await source.snapshot({ snapshotName: name });
    expect(warnings.map(({ code }) => code)).toContain("HolesFilled");
    const verified = bytesRead(name);
    const small = await stage.started(await stage.begin({ rootfsSnapshotName: name, memory: 200 }));
    expect(small).toMatchObject({ status: "Failed", reason: "RootfsRestoreConfigurationError" });
    const tarBytes = (await stage.store.manifest(name))?.layers[0]?.tarBytes ?? 0;
    expect(small.message).toContain(`needs ${restoreMemoryBytes(tarBytes)} bytes of memory`);
    expect(small.message).toMatch(/the sandbox's limit is \d{9}\./);
    expect(bytesRead(name)).toBe(verified);
    const large = await stage.create({ rootfsSnapshotName: name, memory: 1024 });
    expect(await run(large, "stat --format=%s /srv/big")).toBe(`${300 << 20}\n`);
  });

  it("without a manifest are restored with a word of warning", async () => {
    const source = await stage.create();
    await run(source, CHANGE);
    const [sum, made, raw] = [await run(source, SUM), newName(), newName()];
    await source.snapshot({ snapshotName: made });
    const layer = await stage.store.read((await stage.store.manifest(made))?.layers[0]?.key ?? "");
    await stage.store.write(rawKey(SANDBOX_NAMESPACE, raw), unpackWhole(layer));
    const restored = await stage.create({ rootfsSnapshotName: raw });
    expect(await run(restored, SUM)).toBe(sum);
    expect((await stage.object(restored)).status?.rootfsRestores).toEqual([
      expect.objectContaining({ phase: "Ready", message: expect.stringContaining("written by another program") }),
    ]);
  });

  it("hold what is written all the time as of one moment: a database opens clean, a file is its old or its new self", async () => {
    const source = await stage.create();
    const writer = await startWriteLoad(source);
    const name = newName();
    await source.snapshot({ snapshotName: name });
    await expectOneMoment(await stage.create({ rootfsSnapshotName: name }));
    await writer.kill();
  });

  it("go with what they wrote when they are deleted, but not with what a later one wrote", async () => {
    const source = await stage.create();
    const name = newName();
    const first = await source.snapshot({ snapshotName: name });
    await run(source, "echo later >/srv/later");
    const second = await source.snapshot({ snapshotName: name });
    await first.delete();
    const layer = (await stage.store.manifest(name))?.layers[0]?.key;
    expect(await stage.store.keys()).toContain(layer);
    const restored = await stage.create({ rootfsSnapshotName: name });
    expect(await run(restored, "cat /srv/later")).toBe("later\n");
    await second.delete();
    // A mounter that was killed before keeps the others waiting until its lease is over.
    await until(
      () => stage.store.manifest(name),
      (manifest) => manifest === undefined,
      { timeoutMs: REMOVED_MS },
    );
    // Others might name its layers, so these go later.
    await stage.store.collectMuchLater();
    expect(await stage.store.keys()).not.toContain(layer);
  });
});
