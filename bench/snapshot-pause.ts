import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Atoll } from "#sdk";
import { startGateway } from "../test/harness/gateway-process.ts";
import { BareRunsc } from "./harness/bare-runsc.ts";
import { report } from "./harness/report.ts";
import { inTurn } from "./harness/samples.ts";
import { dirtyCommand, STOP_TICKER, TICKER } from "./harness/ticker.ts";

const BYTES = Number(process.env["ATOLL_BENCH_BYTES"] ?? 100 * 2 ** 20);
const ROUNDS = Number(process.env["ATOLL_BENCH_ROUNDS"] ?? 5);
/** The workload runs so long before and after, so that it would show what is not the snapshot's. */
const SETTLE_MS = 500;

const folder = mkdtempSync(join(tmpdir(), "atoll-bench-tar-"));
const bare = new BareRunsc();
const gateway = await startGateway({ env: { ATOLL_SNAPSHOT_STORE: `file://${folder}` } });
const client = new Atoll({ url: gateway.url });

async function heldByTar(): Promise<number> {
  const container = await bare.start(["/bin/sleep", "infinity"]);
  try {
    await bare.exec(container, dirtyCommand(BYTES));
    const ticker = bare.execText(container, TICKER);
    await sleep(SETTLE_MS);
    await bare.tar(container, join(folder, "rootfs.tar"));
    await sleep(SETTLE_MS);
    await bare.exec(container, STOP_TICKER);
    return Number(await ticker);
  } finally {
    await bare.remove(container);
  }
}

async function heldBySnapshot(): Promise<number> {
  const sandbox = await client.sandboxes.create({ image: "atoll/debian" });
  try {
    await sandbox.commands.run(dirtyCommand(BYTES));
    const ticker = sandbox.commands.run(TICKER);
    await sleep(SETTLE_MS);
    const snapshot = await client.snapshots.create({ sandboxId: sandbox.id });
    await sleep(SETTLE_MS);
    await sandbox.commands.run(STOP_TICKER);
    await snapshot.delete();
    return Number((await ticker).stdout);
  } finally {
    await sandbox.delete();
  }
}

try {
  const [tar = [], snapshot = []] = await inTurn(ROUNDS, [heldByTar, heldBySnapshot]);
  report({
    question: `How long does a snapshot of ${BYTES} bytes hold up what runs in the sandbox?`,
    series: [
      { name: "runsc tar", unit: "ms", values: tar },
      { name: "snapshot", unit: "ms", values: snapshot },
    ],
    goals: [{ of: "snapshot", to: "runsc tar", atMost: 1 }],
  });
} finally {
  await gateway.dispose();
  bare.dispose();
  rmSync(folder, { recursive: true, force: true });
}
