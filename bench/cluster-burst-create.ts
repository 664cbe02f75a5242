import { Atoll, type Sandbox } from "#sdk";
import { onPlatform } from "./harness/on-platform.ts";
import type { Shape } from "./harness/raw-pods.ts";
import { report } from "./harness/report.ts";
import { runTrue } from "./harness/run-true.ts";
import { inTurn, timeMs } from "./harness/samples.ts";

const AT_ONCE = Number(process.env["ATOLL_BENCH_AT_ONCE"] ?? 30);
const ROUNDS = Number(process.env["ATOLL_BENCH_ROUNDS"] ?? 3);

/** As a sandbox's pod is, with its agent. */
const TWO: Shape = { containers: [{}, {}] };

await onPlatform(async ({ url, image, raw }) => {
  const api = new Atoll({ url });
  const all = <T>(work: () => Promise<T>): Promise<T[]> => Promise.all(Array.from({ length: AT_ONCE }, work));

  async function rawPods(shape?: Shape): Promise<number> {
    let names: string[] = [];
    const ms = await timeMs(async () => (names = await all(() => raw.start(shape))));
    await Promise.all(names.map((name) => raw.remove(name)));
    return ms;
  }

  async function sandboxes(): Promise<number> {
    const made: Sandbox[] = [];
    const ms = await timeMs(async () => {
      made.push(
        ...(await all(async () => {
          const sandbox = await api.sandboxes.create({ image });
          await runTrue(sandbox);
          return sandbox;
        })),
      );
    });
    await Promise.all(made.map((sandbox) => sandbox.delete()));
    while ((await api.sandboxes.list()).length > 0) await new Promise((done) => setTimeout(done, 200));
    return ms;
  }

  const [one = [], same = [], burst = []] = await inTurn(ROUNDS, [() => rawPods(), () => rawPods(TWO), sandboxes]);
  report({
    question: `How long until ${AT_ONCE} sandboxes created at once on Kubernetes have each answered a command?`,
    series: [
      { name: "raw gVisor pods of one container", unit: "ms", values: one },
      { name: "raw gVisor pods of two containers", unit: "ms", values: same },
      { name: "creates at once", unit: "ms", values: burst },
    ],
    goals: [{ of: "creates at once", to: "raw gVisor pods of two containers", atMost: 1.15 }],
  });
});
