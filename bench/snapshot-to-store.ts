import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Atoll, type Sandbox } from "#sdk";
import { startGateway } from "../test/harness/gateway-process.ts";
import { startOwnClient } from "./harness/own-client.ts";
import { report } from "./harness/report.ts";
import { inTurn, timeMs } from "./harness/samples.ts";
import { dirtyCommand } from "./harness/ticker.ts";

const BYTES = Number(process.env["ATOLL_BENCH_BYTES"] ?? 100 * 2 ** 20);
const ROUNDS = Number(process.env["ATOLL_BENCH_ROUNDS"] ?? 5);
const LITTLE = 1 << 20;

const folder = mkdtempSync(join(tmpdir(), "atoll-bench-store-"));
const store = await startOwnClient();
const gateway = await startGateway({ env: store.env });
const client = new Atoll({ url: gateway.url });

/** By the server's clock, so that the time between two looks of a client does not count. */
async function take(sandbox: Sandbox): Promise<{ readonly ms: number; readonly bytes: number; readonly key: string }> {
  const { completedAt, creationTimestamp, bytes, snapshotKey } = await client.snapshots.create({
    sandboxId: sandbox.id,
  });
  if (completedAt === undefined || bytes === undefined || snapshotKey === undefined) throw new Error("It has no end");
  return { ms: completedAt.getTime() - creationTimestamp.getTime(), bytes, key: snapshotKey };
}

try {
  const sandbox = await client.sandboxes.create({ image: "atoll/debian" });
  await sandbox.commands.run(dirtyCommand(BYTES));
  const first = await take(sandbox);
  const layer = join(folder, "layer");
  await store.download(await store.layerKey(first.key), layer);
  const sizeBytes = statSync(layer).size;
  const [upload = [], snapshot = []] = await inTurn(ROUNDS, [
    () => timeMs(() => store.upload(layer, sizeBytes)),
    async () => (await take(sandbox)).ms,
  ]);
  const restored = await client.sandboxes.create({ image: "atoll/debian", rootfsSnapshotName: sandbox.id });
  await restored.commands.run(["/bin/sh", "-c", `head -c ${LITTLE} /dev/urandom > /root/little`]);
  const second = await take(restored);
  report({
    question: `How long does a snapshot of ${BYTES} bytes take until it is complete in an S3 store?`,
    series: [
      { name: "the store's own client, same bytes", unit: "ms", values: upload },
      { name: "snapshot", unit: "ms", values: snapshot },
    ],
    goals: [{ of: "snapshot", to: "the store's own client, same bytes", atMost: 1.3 }],
    facts: {
      uploadedBytes: first.bytes,
      [`uploadedBytesOfARestoredSandboxThatWrote${LITTLE}Bytes`]: second.bytes,
    },
  });
} finally {
  await gateway.dispose();
  await store.end();
  rmSync(folder, { recursive: true, force: true });
}
