import { readdirSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "#core/clock.ts";
import { COLLECT_PATIENCE, collectSnapshots } from "#mounter/node/snapshot/collect-snapshots.ts";
import { openStore } from "#mounter/storage/node/open-store.ts";
import { parseSnapshotKey } from "#core/snapshot/snapshot-keys.ts";
import { Atoll, NotFoundError, type Snapshot } from "#sdk";
import { freePort } from "../harness/free-ports.ts";
import { startGateway, type GatewayProcess } from "../harness/gateway-process.ts";
import { mounterPid } from "../harness/mounter-pid.ts";

const image = "atoll/debian";
const SNAPSHOTS = process.env["ATOLL_SOAK"] === "1" ? 200 : 20;
const NAMESPACE = "isola-sandboxes";
const HOUR_MS = 3_600_000;
/** Answers come at once, so that a kill meets what goes on behind them. */
const env = { ATOLL_CREATE_WAIT_MS: "0" };

describe("snapshots beside kills", { timeout: SNAPSHOTS * 30_000 }, () => {
  let gateway: GatewayProcess | undefined;
  afterEach(async () => {
    await gateway?.dispose();
    gateway = undefined;
  }, 60_000);

  async function start(): Promise<Atoll> {
    gateway = await startGateway({ port: await freePort(), env });
    return new Atoll({ url: gateway.url });
  }

  async function crash(): Promise<void> {
    if (gateway === undefined) throw new Error("No gateway runs");
    const { home, port } = gateway;
    await gateway.kill("SIGKILL");
    gateway = await startGateway({ home, port, env });
  }

  function killMounter(): void {
    const pid = gateway === undefined ? undefined : mounterPid(gateway.pid);
    if (pid !== undefined) process.kill(pid, "SIGKILL");
  }

  /** Its end, whatever becomes of the gateway meanwhile. */
  async function endOf(client: Atoll, id: string): Promise<Snapshot> {
    for (;;) {
      const snapshot = await client.snapshots.get(id);
      if (snapshot.status === "Succeeded" || snapshot.status === "Failed") return snapshot;
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  it(`of the gateway and of its mounter at any moment of ${SNAPSHOTS}: each ends, means what it says, and leaves nothing`, async () => {
    const client = await start();
    const sandbox = await client.sandboxes.create({ image });
    let seed = 7;
    const random = (): number => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
    // Enough that each phase takes a while.
    await sandbox.commands.run(["sh", "-c", "head -c 60000000 /dev/urandom > /srv/ballast"]);
    const startMs = performance.now();
    await sandbox.snapshot({ snapshotName: "work" });
    const usualMs = performance.now() - startMs;
    let cut = 0;
    for (let round = 0; round < SNAPSHOTS; round += 1) {
      await sandbox.filesystem.write("/srv/round", `${round}`);
      const { id } = await sandbox.snapshot({ snapshotName: "work", maxWaitMs: 0 });
      await new Promise((done) => setTimeout(done, random() * usualMs));
      cut += (await client.snapshots.get(id)).status === "Running" ? 1 : 0;
      if (round % 2 === 0) await crash();
      else killMounter();
      const { status, reason, message } = await endOf(client, id);
      expect([round, status, reason, message]).toEqual([round, "Succeeded", undefined, undefined]);
      if (round % 4 !== 3) continue;
      const restored = await client.sandboxes.create({ image, rootfsSnapshotName: "work" });
      expect(new TextDecoder().decode(await restored.filesystem.read("/srv/round"))).toBe(`${round}`);
      await restored.delete();
    }
    // Kills between snapshots would prove little.
    expect(cut).toBeGreaterThan(SNAPSHOTS / 4);
    await sandbox.delete();
    const { home } = gateway ?? { home: "" };
    await expect
      .poll(() => ["staging", "mounter/staging"].flatMap((place) => readdirSync(join(home, place))), {
        timeout: 20_000,
      })
      .toEqual([]);
    expect(await leftAfterCollecting(join(home, "snapshots"))).toEqual({ layers: 1, manifests: 1, others: 0 });
  });

  it("of the gateway while a sandbox waits for a snapshot that is yet to come: it starts when that is there", async () => {
    const client = await start();
    const waits = await client.sandboxes.create({ image, rootfsSnapshotName: "later" }, { maxWaitMs: 0 });
    await expect.poll(async () => (await client.sandboxes.get(waits.id)).reason).toBe("WaitingForSnapshot");
    await crash();
    const source = await client.sandboxes.create({ image });
    await source.filesystem.write("/srv/kept", "yes");
    await source.snapshot({ snapshotName: "later" });
    await expect.poll(async () => (await client.sandboxes.get(waits.id)).status, { timeout: 20_000 }).toBe("Running");
    expect(new TextDecoder().decode(await waits.filesystem.read("/srv/kept"))).toBe("yes");
    // What it stands on is known to the gateway that comes next, too.
    await waits.filesystem.write("/srv/more", "of it");
    await crash();
    await waits.snapshot({ snapshotName: "both" });
    const both = await client.sandboxes.create({ image, rootfsSnapshotName: "both" });
    expect((await both.commands.run(["cat", "/srv/kept", "/srv/more"])).stdout).toBe("yesof it");
    await Promise.all([waits, source, both].map((each) => each.delete()));
  });

  it("of the gateway while a sandbox waits for the snapshot at its end: it is taken, and then the sandbox goes", async () => {
    const client = await start();
    const sandbox = await client.sandboxes.create({ image, terminationPolicy: { snapshotName: "last" } });
    await sandbox.commands.run(["sh", "-c", "head -c 100000000 /dev/urandom > /srv/ballast; echo words > /srv/last"]);
    await sandbox.delete();
    await crash();
    const id = `${sandbox.id}-termination`;
    // The gateway that was killed may not have come so far.
    await expect.poll(() => client.snapshots.get(id).catch(() => undefined), { timeout: 20_000 }).toBeDefined();
    const snapshot = await endOf(client, id);
    const { status, reason, message } = snapshot;
    expect([status, reason, message]).toEqual(["Succeeded", undefined, undefined]);
    await expect
      .poll(() => client.sandboxes.get(sandbox.id).catch((error: unknown) => error), { timeout: 20_000 })
      .toBeInstanceOf(NotFoundError);
    const restored = await client.sandboxes.create({ image, rootfsSnapshotName: "last" });
    expect((await restored.commands.run(["cat", "/srv/last"])).stdout).toBe("words\n");
    await restored.delete();
  });
});

/** What a folder of a store holds when all that may go has gone: its clock is moved instead of waiting. */
async function leftAfterCollecting(folder: string): Promise<{ layers: number; manifests: number; others: number }> {
  const credentials = { kind: "none" } as const;
  let marks = 0;
  const newMark = (): string => `m${(marks += 1)}`;
  const store = await openStore(`file://${folder}`, { clock: systemClock, random: Math.random, newMark, credentials });
  const files = (): string[] =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
  const call = { signal: new AbortController().signal };
  for (let pass = 0; pass < 2; pass += 1) {
    const past = new Date(Date.now() - 30 * HOUR_MS);
    for (const file of files()) utimesSync(file, past, past);
    await collectSnapshots(store, { namespace: NAMESPACE, ...COLLECT_PATIENCE }, call);
  }
  const { items } = await store.list("", {}, call);
  store.close();
  const kinds = items.map(({ key }) => (key.endsWith("/collected") ? "collected" : parseSnapshotKey(key)?.kind));
  const count = (kind: string): number => kinds.filter((each) => each === kind).length;
  return {
    layers: count("layer"),
    manifests: count("manifest"),
    others: kinds.length - count("layer") - count("manifest") - count("collected"),
  };
}
