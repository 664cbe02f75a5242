import { Atoll } from "#sdk";
import { onPlatform } from "./harness/on-platform.ts";
import { report } from "./harness/report.ts";
import { runTrue } from "./harness/run-true.ts";
import { inTurn, timeMs } from "./harness/samples.ts";

const ROUNDS = Number(process.env["ATOLL_BENCH_ROUNDS"] ?? 20);
/** The node clears a removed pod away outside the measured time. */
const PAUSE_MS = 2000;

await onPlatform(async ({ url, image, raw }) => {
  const api = new Atoll({ url });
  const pause = (): Promise<unknown> => new Promise((done) => setTimeout(done, PAUSE_MS));

  async function rawPod(): Promise<number> {
    let name = "";
    const ms = await timeMs(async () => (name = await raw.start()));
    await raw.remove(name);
    await pause();
    return ms;
  }

  async function firstCommand(): Promise<number> {
    let remove: () => Promise<void> = async () => undefined;
    const ms = await timeMs(async () => {
      const sandbox = await api.sandboxes.create({ image });
      remove = () => sandbox.delete();
      await runTrue(sandbox);
    });
    await remove();
    await pause();
    return ms;
  }

  const [baseline = [], first = []] = await inTurn(ROUNDS, [rawPod, firstCommand]);
  report({
    question: "How long from create to the first command's answer on Kubernetes?",
    series: [
      { name: "raw gVisor pod, create to Ready", unit: "ms", values: baseline },
      { name: "create to first command", unit: "ms", values: first },
    ],
    goals: [{ of: "create to first command", to: "raw gVisor pod, create to Ready", atMost: 1.15 }],
  });
});
