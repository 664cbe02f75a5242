import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { SANDBOX_NAMESPACE } from "#core/kubernetes/names.ts";
import { manifestKey } from "#core/snapshot/snapshot-keys.ts";
import { Atoll, SnapshotFailedError, type Sandbox } from "#sdk";
import { startGateway, type GatewayProcess } from "../harness/gateway-process.ts";
import { startFaultProxy, type FaultProxy } from "../stores/fault-proxy.ts";
import { openTestStore, s3Url, S3_KEYS, startServer, type StoreServer } from "../stores/servers.ts";

const image = "atoll/debian";
const PREFIX = "atoll";
const ALWAYS = 1_000_000;

describe("snapshots on one machine whose store is away", { timeout: 120_000 }, () => {
  let server: StoreServer;
  let proxy: FaultProxy;
  let gateway: GatewayProcess;
  let client: Atoll;
  let source: Sandbox;
  beforeAll(async () => {
    server = await startServer("s3");
    proxy = await startFaultProxy(server.origin);
    gateway = await startGateway({
      env: { ATOLL_SNAPSHOT_STORE: s3Url(proxy.origin, PREFIX), ...S3_KEYS, ATOLL_START_CONCURRENCY: "1" },
    });
    client = new Atoll({ url: gateway.url });
    source = await client.sandboxes.create({ image });
  }, 90_000);
  afterEach(() => proxy.clear());
  afterAll(async () => {
    await gateway.dispose();
    await proxy.close();
    await server.end();
  }, 60_000);

  async function seen(id: string, isSeen: (sandbox: Sandbox) => boolean): Promise<Sandbox> {
    for (;;) {
      const sandbox = await client.sandboxes.get(id);
      if (isSeen(sandbox)) return sandbox;
      await sleep(100);
    }
  }

  it.each([
    ["refuses", { kind: "status", status: 503 }, /which the store does not give: Cannot read .*zst/],
    ["is silent about", { kind: "silence" }, /which is on its way from the store/],
  ] as const)(
    "a start from layers that the store %s waits and says so, and goes on when it can",
    async (how, fault, said) => {
      const name = `away-${fault.kind}`;
      await source.filesystem.write("/srv/data", name);
      await source.snapshot({ snapshotName: name });
      proxy.add(fault, { times: ALWAYS, matches: ({ method, path }) => method === "GET" && path.includes(".zst") });
      const { id } = await client.sandboxes.create(
        { image, rootfsSnapshotName: name, startupTimeoutSeconds: 90 },
        { maxWaitMs: 0 },
      );
      const waiting = await seen(id, ({ status, message }) => status !== "Pending" || message !== undefined);
      expect(waiting).toMatchObject({ status: "Pending", reason: "WaitingForSnapshot" });
      expect(waiting.message).toMatch(said);
      // Others start meanwhile.
      await (await client.sandboxes.create({ image })).delete();
      if (how === "refuses") {
        // Longer than a request is repeated by itself, and longer than a start once tried it again.
        await sleep(20_000);
        expect(await client.sandboxes.get(id)).toMatchObject({ status: "Pending", reason: "WaitingForSnapshot" });
        // Others start meanwhile.
        await (await client.sandboxes.create({ image })).delete();
        proxy.clear();
        const restored = await seen(id, ({ status }) => status !== "Pending");
        expect([restored.status, restored.message]).toEqual(["Running", undefined]);
        expect((await restored.commands.run(["cat", "/srv/data"])).stdout).toBe(name);
      }
      await waiting.delete();
    },
  );

  it.each([
    ["says nothing", { kind: "silence" }],
    ["refuses", { kind: "status", status: 503 }],
  ] as const)(
    "a snapshot for which the store %s until its time is over fails with the store's words",
    async (_, fault) => {
      proxy.add(fault, { times: ALWAYS });
      const name = `never-${fault.kind}`;
      const failure: unknown = await source
        .snapshot({ snapshotName: name, timeoutSeconds: 10 })
        .catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(SnapshotFailedError);
      expect(failure).toMatchObject({
        reason: "StoreFailed",
        message: expect.stringMatching(new RegExp(`Cannot \\w+ \\S*${manifestKey(SANDBOX_NAMESPACE, name)}`)) as string,
      });
    },
  );

  it("a manifest larger than any ends a start at once", async () => {
    const store = await openTestStore(server.url(server.origin, PREFIX), { credentials: server.credentials });
    const signal = AbortSignal.timeout(30_000);
    await store.put(manifestKey(SANDBOX_NAMESPACE, "huge"), new Uint8Array(2 << 20), { kind: "always" }, { signal });
    store.close();
    const { id } = await client.sandboxes.create({ image, rootfsSnapshotName: "huge" }, { maxWaitMs: 0 });
    const ended = await seen(id, ({ status }) => status !== "Pending");
    expect(ended).toMatchObject({ status: "Failed", reason: "SnapshotDamaged" });
    expect(ended.message).toMatch(/manifest has 2097152 bytes/);
    // A new one takes its place.
    await source.filesystem.write("/srv/data", "kept");
    await source.snapshot({ snapshotName: "huge" });
    const restored = await client.sandboxes.create({ image, rootfsSnapshotName: "huge" });
    expect((await restored.commands.run(["cat", "/srv/data"])).stdout).toBe("kept");
    await Promise.all([ended, restored].map((each) => each.delete()));
  });
});
