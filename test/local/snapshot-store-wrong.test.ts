import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Atoll } from "#sdk";
import { startGateway, type GatewayProcess } from "../harness/gateway-process.ts";
import { until } from "../harness/until.ts";
import { s3Url, S3_KEYS, startServer, type StoreServer } from "../stores/servers.ts";

const image = "atoll/debian";
const DENIED = /Cannot read .*the store denies access; check the credentials/;

describe("snapshots on one machine whose store knows other credentials", { timeout: 60_000 }, () => {
  let server: StoreServer;
  let gateway: GatewayProcess;
  let client: Atoll;
  beforeAll(async () => {
    server = await startServer("s3");
    const wrong = { ...S3_KEYS, AWS_SECRET_ACCESS_KEY: "another-secret" };
    gateway = await startGateway({ env: { ATOLL_SNAPSHOT_STORE: s3Url(server.origin, "atoll"), ...wrong } });
    client = new Atoll({ url: gateway.url });
  }, 60_000);
  afterAll(async () => {
    await gateway.dispose();
    await server.end();
  }, 60_000);

  it("are said to be impossible at start, in their records, and by who waits for them", async () => {
    await until(
      async () => gateway.log(),
      (log) => /The store of snapshots cannot be used.*denies access/.test(log),
    );
    // Sandboxes do not need it.
    const sandbox = await client.sandboxes.create({ image });
    await expect(sandbox.snapshot({ snapshotName: "work" })).rejects.toMatchObject({
      reason: "StoreDenied",
      message: expect.stringMatching(DENIED) as string,
    });
    const { id } = await client.sandboxes.create(
      { image, rootfsSnapshotName: "work", startupTimeoutSeconds: 3 },
      { maxWaitMs: 0 },
    );
    const { status, message } = await until(
      () => client.sandboxes.get(id),
      (sandbox) => sandbox.status !== "Pending",
    );
    expect([status, message]).toEqual(["Failed", expect.stringMatching(DENIED)]);
    expect(gateway.log()).not.toContain("another-secret");
  });
});
