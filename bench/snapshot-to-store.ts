import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Atoll, type Sandbox } from "#sdk";
import { startGateway } from "../test/harness/gateway-process.ts";
import { startOwnClient } from "./harness/own-client.ts";
import { report } from "./harness/report.ts";
import { inTurn, timeMs } from "./harness/samples.ts";
import { dirtyCommand } from "./harness/ticker.ts";

const BYTES = Number(process.env["ATOLL_BENCH_BYTES"] ?? 100 * 2 ** 20);
const ROUNDS = Number(process.env["ATOLL_BENCH_ROUNDS"] ?? 5);
const LITTLE = 1 << 20;
/** Small beside what is measured, and so is what the looks themselves cost this machine. */
const LOOK_MS = 20;

const folder = mkdtempSync(join(tmpdir(), "atoll-bench-store-"));
const store = await startOwnClient();
const gateway = await startGateway({ env: store.env });
const client = new Atoll({ url: gateway.url });

interface Taken {
  readonly ms: number;
  readonly manifestKey: string;
}

/** Looks often: the time between two looks of a patient client is not what is asked here. */
async function take(sandbox: Sandbox): Promise<Taken> {
  const startMs = performance.now();
  const snapshot = await client.snapshots.create({ sandboxId: sandbox.id }, { maxWaitMs: 0 });
  while (snapshot.completedAt === undefined) {
    await sleep(LOOK_MS);
    await snapshot.refresh();
  }
  const { status, message, snapshotKey } = snapshot;
  if (status !== "Succeeded" || snapshotKey === undefined) throw new Error(`It was not taken: ${message}`);
  return { ms: performance.now() - startMs, manifestKey: snapshotKey };
}

try {
  const sandbox = await client.sandboxes.create({ image: "atoll/debian" });
  await sandbox.commands.run(dirtyCommand(BYTES));
  const first = await take(sandbox);
  const layer = join(folder, "layer");
  const { key, bytes } = await store.topLayer(first.manifestKey);
  await store.download(key, layer);
  const [upload = [], parts = [], snapshot = []] = await inTurn(ROUNDS, [
    () => timeMs(() => store.upload(layer, bytes)),
    () => timeMs(() => store.uploadParts(layer, bytes)),
    async () => (await take(sandbox)).ms,
  ]);
  const restored = await client.sandboxes.create({ image: "atoll/debian", rootfsSnapshotName: sandbox.id });
  await restored.commands.run(["/bin/sh", "-c", `head -c ${LITTLE} /dev/urandom > /root/little`]);
  const second = await take(restored);
  report({
    question: `How long does a snapshot of ${BYTES} bytes take until it is complete in an S3 store?`,
    series: [
      { name: "the store's own client, same bytes in one request", unit: "ms", values: upload },
      { name: "the store's own client, same bytes in parts", unit: "ms", values: parts },
      { name: "snapshot", unit: "ms", values: snapshot },
    ],
    // What is packed while it is sent has no size to announce: it goes in parts, as whatever is large does.
    goals: [{ of: "snapshot", to: "the store's own client, same bytes in parts", atMost: 1.3 }],
    facts: {
      uploadedBytes: bytes,
      [`uploadedBytesOfARestoredSandboxThatWrote${LITTLE}Bytes`]: (await store.topLayer(second.manifestKey)).bytes,
    },
  });
} finally {
  await gateway.dispose();
  await store.end();
  rmSync(folder, { recursive: true, force: true });
}
