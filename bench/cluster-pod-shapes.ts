import { onPlatform } from "./harness/on-platform.ts";
import type { Shape } from "./harness/raw-pods.ts";
import { report } from "./harness/report.ts";
import { inTurn } from "./harness/samples.ts";

const ROUNDS = Number(process.env["ATOLL_BENCH_ROUNDS"] ?? 15);
/** The node clears a removed pod away outside the measured time. */
const PAUSE_MS = 2000;

const STAYS = { restartPolicy: "Always" } as const;
const PROBE = { exec: { command: ["true"] }, periodSeconds: 1 };
/** Where an agent may stand: beside the user's container, or before it. */
const SHAPES: Readonly<Record<string, Shape>> = {
  "no agent": { containers: [{}] },
  "ordinary container, first": { containers: [{}, {}] },
  "native sidecar": { initContainers: [STAYS], containers: [{}] },
  "native sidecar with a startup probe": { initContainers: [{ ...STAYS, startupProbe: PROBE }], containers: [{}] },
};

await onPlatform(async ({ raw }) => {
  const addressMs: Record<string, number[]> = {};

  async function untilReadyMs(name: string, shape: Shape): Promise<number> {
    const startMs = performance.now();
    let addressAtMs: number | undefined;
    const pod = await raw.start(shape, ({ status }) => {
      if (status?.podIP !== undefined) addressAtMs ??= performance.now() - startMs;
    });
    const readyMs = performance.now() - startMs;
    (addressMs[name] ??= []).push(addressAtMs ?? readyMs);
    await raw.remove(pod);
    await new Promise((done) => setTimeout(done, PAUSE_MS));
    return readyMs;
  }

  const shapes = Object.entries(SHAPES);
  const ready = await inTurn(
    ROUNDS,
    shapes.map(
      ([name, shape]) =>
        () =>
          untilReadyMs(name, shape),
    ),
  );
  report({
    question: "What does the agent's place in the pod cost, from create?",
    series: shapes.flatMap(([name], index) => [
      // The first round warmed up.
      { name: `${name}: address`, unit: "ms", values: addressMs[name]?.slice(1) ?? [] },
      { name: `${name}: Ready`, unit: "ms", values: ready[index] ?? [] },
    ]),
    goals: [{ of: "ordinary container, first: Ready", to: "native sidecar: Ready", atMost: 1 }],
  });
});
