import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Atoll } from "#sdk";
import { startGateway } from "../test/harness/gateway-process.ts";
import { startOwnClient } from "./harness/own-client.ts";
import { report } from "./harness/report.ts";
import { runTrue } from "./harness/run-true.ts";
import { inTurn, timeMs } from "./harness/samples.ts";
import { dirtyCommand } from "./harness/ticker.ts";

const BYTES = Number(process.env["ATOLL_BENCH_BYTES"] ?? 100 * 2 ** 20);
const ROUNDS = Number(process.env["ATOLL_BENCH_ROUNDS"] ?? 5);
const NAME = "bench";

const folder = mkdtempSync(join(tmpdir(), "atoll-bench-restore-"));
const store = await startOwnClient();
const gateway = await startGateway({ env: store.env });

async function firstCommand(url: string, from: { readonly rootfsSnapshotName?: string }): Promise<number> {
  const client = new Atoll({ url });
  let id = "";
  const ms = await timeMs(async () => {
    const sandbox = await client.sandboxes.create({ image: "atoll/debian", ...from });
    id = sandbox.id;
    await runTrue(sandbox);
  });
  await (await client.sandboxes.get(id)).delete();
  return ms;
}

/** On a gateway that has none of it yet. */
async function fromStore(): Promise<number> {
  const fresh = await startGateway({ env: store.env });
  try {
    // What a gateway does once is not what is asked here.
    await firstCommand(fresh.url, {});
    return await firstCommand(fresh.url, { rootfsSnapshotName: NAME });
  } finally {
    await fresh.dispose();
  }
}

try {
  const client = new Atoll({ url: gateway.url });
  const sandbox = await client.sandboxes.create({ image: "atoll/debian" });
  await sandbox.commands.run(dirtyCommand(BYTES));
  const { snapshotKey = "" } = await client.snapshots.create({ sandboxId: sandbox.id, snapshotName: NAME });
  await sandbox.delete();
  const { key } = await store.topLayer(snapshotKey);
  const [plain = [], cached = [], download = [], cold = []] = await inTurn(ROUNDS, [
    () => firstCommand(gateway.url, {}),
    () => firstCommand(gateway.url, { rootfsSnapshotName: NAME }),
    () => timeMs(() => store.download(key, join(folder, "layer"))),
    fromStore,
  ]);
  report({
    question: `How long from create to the first command's answer, restored from a snapshot of ${BYTES} bytes?`,
    series: [
      { name: "plain create", unit: "ms", values: plain },
      { name: "from this machine's cache", unit: "ms", values: cached },
      { name: "download by the store's own client", unit: "ms", values: download },
      { name: "from the store", unit: "ms", values: cold },
    ],
    goals: [
      { of: "from this machine's cache", to: "plain create", atMost: 1.3 },
      { of: "from the store", to: "download by the store's own client", atMost: 1.3 },
    ],
  });
} finally {
  await gateway.dispose();
  await store.end();
  rmSync(folder, { recursive: true, force: true });
}
