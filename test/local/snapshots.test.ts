import { readdirSync, readFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Boot } from "#runtime/backend/local/machine.ts";
import type { RootRestore } from "#runtime/backend/local/root-restore.ts";
import { makeMachine, type MachineUnderTest } from "./local-machine.ts";

const script = (name: string): string => readFileSync(join(import.meta.dirname, `snapshot/${name}.py`), "utf8");
const layerOf = ({ path, tarDigest }: { path: string; tarDigest: string }): RootRestore["layers"][number] => ({
  tarDigest,
  fetch: async () => ({ path, release: () => {} }),
});

describe("snapshots of roots on one machine", { timeout: 180_000 }, () => {
  let m: MachineUnderTest;
  beforeAll(async () => {
    m = await makeMachine({ poolSize: 2 });
  }, 60_000);
  afterAll(() => m.dispose(), 60_000);

  function list(boot: Boot): Record<string, unknown> {
    return JSON.parse(m.run(boot, "python3", "-c", script("list"))) as Record<string, unknown>;
  }

  it("are restored in two sandboxes at once, with all that gVisor keeps, and once more with what was changed since", async () => {
    const source = await m.start();
    m.run(source, "python3", "-c", script("make"));
    const tree = list(source);
    const first = m.takeLayer(source);
    m.restores.set("first", { snapshotName: "first", layers: [layerOf(first)] });
    const [one, two] = await Promise.all([
      m.start({ rootfsSnapshotName: "first" }),
      m.start({ rootfsSnapshotName: "first" }),
    ]);
    expect(list(one)).toEqual(tree);
    expect(list(two)).toEqual(tree);
    expect(one.held[0]?.image.erofsPath).toBe(two.held[0]?.image.erofsPath);

    const deletions = "rm /t/char /t/attributes /t/p1 /t/old /etc/shells";
    m.run(one, "sh", "-c", `${deletions}; cd /usr/share; rm -r renamed; mkdir renamed; echo new > /t/new`);
    const changed = list(one);
    const second = m.takeLayer(one);
    // Beside what has changed there is only what cannot lie below: attributes, devices, pipes, and their folders.
    expect(second.names.toSorted()).toEqual(
      `./ ./etc/ ./etc/shells ./usr/ ./usr/share/ ./usr/share/renamed/ ./t/ ./t/new ./t/old ./t/char ./t/block
        ./t/p1 ./t/p2 ./t/attributes ./t/attributes2 ./t/acl ./t/acl-folder/ ./t/ping`
        .split(/\s+/)
        .toSorted(),
    );
    m.restores.set("second", { snapshotName: "second", layers: [layerOf(first), layerOf(second)] });
    const again = await m.start({ rootfsSnapshotName: "second" });
    expect(again.held[0]?.layered?.tarDigests).toEqual([first.tarDigest, second.tarDigest]);
    expect(list(again)).toEqual(changed);
    await Promise.all([source, one, two, again].map(({ id }) => m.machine.destroy(id)));
  });

  it("are checkpoints of one moment, from which a sandbox goes on", async () => {
    const boot = await m.start();
    m.run(boot, "sh", "-c", "head -c 5000000 /dev/urandom > /data");
    const call = { ...m.call, timeoutMs: 30_000 };
    const checkpoint = await m.machine.checkpoint(boot, "main", call);
    const files = ["fscheckpoint.pb", "multitar.img", "pages.img", "pages_meta.img"];
    expect(readdirSync(checkpoint.dir).toSorted()).toEqual(files);
    expect(checkpoint.bytes).toBeGreaterThan(5_000_000);
    expect([checkpoint.base, checkpoint.tarDigests]).toEqual([boot.held[0]?.digest, []]);
    expect(m.run(boot, "echo", "alive")).toBe("alive\n");
    await checkpoint.remove();
    expect(readdirSync(join(m.config.homeDir, "staging"))).toEqual([]);

    const [held, busy] = await Promise.allSettled([
      m.machine.checkpoint(boot, "main", call),
      m.machine.checkpoint(boot, "main", call),
    ]);
    expect(busy).toMatchObject({ reason: { fault: "busy" } });
    if (held.status === "fulfilled") await held.value.remove();
    await expect(m.machine.checkpoint(boot, "other", call)).rejects.toMatchObject({ fault: "container-unknown" });

    await expect(m.machine.checkpoint(boot, "main", { ...call, timeoutMs: 1 })).rejects.toMatchObject({
      fault: "timeout",
    });
    const leaver = new AbortController();
    const left = m.machine
      .checkpoint(boot, "main", { ...call, signal: leaver.signal })
      .catch((error: unknown) => error);
    leaver.abort(new Error("left"));
    expect(await left).toMatchObject({ fault: "busy" });
    // Nobody waits for that one any more; it ends by itself and leaves nothing.
    await expect.poll(() => readdirSync(join(m.config.homeDir, "staging")), { timeout: 20_000 }).toEqual([]);
    expect(m.run(boot, "echo", "alive")).toBe("alive\n");
    await m.machine.destroy(boot.id);
    await expect(m.machine.checkpoint(boot, "main", call)).rejects.toMatchObject({ fault: "sandbox-lost" });
  });

  it("say that a container has ended", async () => {
    const boot = await m.start({ command: ["true"] });
    expect(await m.machine.waitContainer(boot, "main", m.call.signal)).toEqual({ kind: "exited", exitCode: 0 });
    await expect(m.machine.checkpoint(boot, "main", { ...m.call, timeoutMs: 30_000 })).rejects.toMatchObject({
      fault: "container-ended",
    });
    expect(readdirSync(join(m.config.homeDir, "staging"))).toEqual([]);
    await m.machine.destroy(boot.id);
  });

  it("are refused over another image, and when a layer is damaged or asks for too much memory", async () => {
    const boot = await m.start();
    m.run(boot, "sh", "-c", "head -c 40000000 /dev/urandom > /data");
    m.run(boot, "python3", "-c", "import os; os.setxattr('/data', 'user.a', b'b')");
    const layer = m.takeLayer(boot);
    const reason = "RootfsRestoreConfigurationError";
    m.restores.set("foreign", {
      snapshotName: "foreign",
      base: { image: "elsewhere/other", digest: `sha256:${"0".repeat(64)}` },
      layers: [layerOf(layer)],
    });
    await expect(m.start({ rootfsSnapshotName: "foreign" })).rejects.toMatchObject({
      reason,
      message: expect.stringContaining(boot.held[0]?.pulledDigest ?? "-") as string,
    });
    m.restores.set("fat", { snapshotName: "fat", layers: [layerOf(layer)] });
    const limits = { memory: "100Mi" };
    await expect(m.start({ rootfsSnapshotName: "fat", resources: { limits } })).rejects.toMatchObject({ reason });
    truncateSync(layer.path, 20_000_256);
    m.restores.set("cut", {
      snapshotName: "cut",
      layers: [layerOf({ ...layer, tarDigest: `sha256:${"1".repeat(64)}` })],
    });
    await expect(m.start({ rootfsSnapshotName: "cut" })).rejects.toMatchObject({ reason: "SnapshotDamaged" });
    await m.machine.destroy(boot.id);
  });

  it("wait in the pool like images", async () => {
    const boot = await m.start();
    m.run(boot, "touch", "/of-the-snapshot");
    m.restores.set("pooled", { snapshotName: "pooled", layers: [layerOf(m.takeLayer(boot))] });
    const first = await m.start({ rootfsSnapshotName: "pooled" });
    m.machine.refillPool();
    await expect.poll(() => pooled(first), { timeout: 30_000 }).toHaveLength(1);
    const [ahead] = pooled(first);
    const second = await m.start({ rootfsSnapshotName: "pooled" });
    expect(second.id).toBe(ahead);
    expect(m.run(second, "ls", "/of-the-snapshot")).toBe("/of-the-snapshot\n");
    await Promise.all([boot, first, second].map(({ id }) => m.machine.destroy(id)));
  });

  /** Boots that wait with the same root. */
  function pooled(like: Boot): string[] {
    const boots = join(m.config.homeDir, "boots");
    return readdirSync(boots).filter((id) => {
      try {
        const note = JSON.parse(readFileSync(join(boots, id, "boot.json"), "utf8")) as {
          waiting: boolean;
          held: { digest: string }[];
        };
        return note.waiting && note.held[0]?.digest === like.held[0]?.digest;
      } catch {
        return false;
      }
    });
  }
});
