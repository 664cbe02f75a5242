import { RESTORE_PORT } from "#core/kubernetes/names.ts";
import { MOUNTER_PATHS } from "#mounter/manifest.ts";
import { Atoll, type Sandbox } from "#sdk";
import { startSnapshotStore } from "../test/harness/snapshot-store.ts";
import { onPlatform } from "./harness/on-platform.ts";
import type { Shape } from "./harness/raw-pods.ts";
import { report } from "./harness/report.ts";
import { runTrue } from "./harness/run-true.ts";
import { inTurn, percentile, timeMs } from "./harness/samples.ts";
import { dirtyCommand } from "./harness/ticker.ts";

const BYTES = Number(process.env["ATOLL_BENCH_BYTES"] ?? 100 * 2 ** 20);
const ROUNDS = Number(process.env["ATOLL_BENCH_ROUNDS"] ?? 8);
/** The node clears a removed pod away outside the measured time. */
const PAUSE_MS = 2000;
/** As sandboxes that start from snapshots are made, but the node's mounter answers their probe at once. */
const RELEASED: Shape = {
  initContainers: [
    {
      restartPolicy: "Always",
      startupProbe: {
        httpGet: { host: "127.0.0.1", port: RESTORE_PORT, path: MOUNTER_PATHS.live },
        periodSeconds: 1,
        timeoutSeconds: 60,
      },
    },
  ],
  containers: [{}],
};

await onPlatform(async ({ url, image, raw }) => {
  const store = await startSnapshotStore();
  const api = new Atoll({ url });
  const pause = (): Promise<unknown> => new Promise((done) => setTimeout(done, PAUSE_MS));

  async function takeAs(snapshotName: string, command: readonly string[]): Promise<void> {
    const sandbox = await api.sandboxes.create({ image });
    await sandbox.commands.run(command);
    await sandbox.snapshot({ snapshotName });
    await sandbox.delete();
  }

  const firstCommand = (from: { readonly rootfsSnapshotName?: string }) => async (): Promise<number> => {
    let made: Sandbox | undefined;
    const ms = await timeMs(async () => {
      made = await api.sandboxes.create({ image, ...from });
      await runTrue(made);
    });
    await made?.delete();
    await pause();
    return ms;
  };

  async function releasedPod(): Promise<number> {
    let name = "";
    const ms = await timeMs(async () => (name = await raw.start(RELEASED)));
    await raw.remove(name);
    await pause();
    return ms;
  }

  try {
    await takeAs("large", dirtyCommand(BYTES));
    await takeAs("nothing", ["true"]);
    const [plain = [], shape = [], released = [], cached = []] = await inTurn(ROUNDS, [
      firstCommand({}),
      releasedPod,
      firstCommand({ rootfsSnapshotName: "nothing" }),
      firstCommand({ rootfsSnapshotName: "large" }),
    ]);
    const ratio = (of: readonly number[]): number => percentile(cached, 0.5) / percentile(of, 0.5);
    report({
      question: `How long from create to the first command's answer on Kubernetes, restored from a snapshot of ${BYTES} bytes?`,
      series: [
        { name: "plain create", unit: "ms", values: plain },
        { name: "raw gVisor pod of that shape, released at once, create to Ready", unit: "ms", values: shape },
        { name: "the same shape, released at once", unit: "ms", values: released },
        { name: "from the node's cache", unit: "ms", values: cached },
      ],
      goals: [{ of: "from the node's cache", to: "the same shape, released at once", atMost: 1.1 }],
      facts: { "from the node's cache / plain create": ratio(plain), "/ raw pod of that shape": ratio(shape) },
    });
  } finally {
    await store.end();
  }
});
