import { Atoll } from "#sdk";
import { startGateway } from "../test/harness/gateway-process.ts";
import { BareRunsc, usedMemoryMiB } from "./harness/bare-runsc.ts";
import { report } from "./harness/report.ts";

const COUNT = Number(process.env["ATOLL_BENCH_COUNT"] ?? 20);
const ROUNDS = Number(process.env["ATOLL_BENCH_ROUNDS"] ?? 3);

const bare = new BareRunsc();
const gateway = await startGateway();
const client = new Atoll({ url: gateway.url });

/** Growth of used memory a sandbox while `COUNT` of them run. */
async function growth(start: () => Promise<() => Promise<void>>): Promise<number> {
  const beforeMiB = await usedMemoryMiB();
  const stops: (() => Promise<void>)[] = [];
  for (let index = 0; index < COUNT; index++) stops.push(await start());
  const eachMiB = ((await usedMemoryMiB()) - beforeMiB) / COUNT;
  await Promise.all(stops.map((stop) => stop()));
  return eachMiB;
}

const startBare = async (): Promise<() => Promise<void>> => {
  const id = await bare.start(["/bin/sleep", "infinity"]);
  return () => bare.remove(id);
};

const startSandbox = async (): Promise<() => Promise<void>> => {
  const sandbox = await client.sandboxes.create({ image: "atoll/debian" });
  return () => sandbox.delete();
};

try {
  const baseline: number[] = [];
  const sandboxes: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const bareMiB = await growth(startBare);
    const sandboxMiB = await growth(startSandbox);
    while ((await client.sandboxes.list()).length > 0) await new Promise((done) => setTimeout(done, 200));
    if (round === 0) continue;
    baseline.push(bareMiB);
    sandboxes.push(sandboxMiB);
  }
  const median = (values: readonly number[]): number =>
    values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
  report({
    question: `How much host memory does an idle sandbox take, all in (growth over ${COUNT})?`,
    series: [
      { name: "sleep under runsc", unit: "MiB", values: baseline },
      { name: "idle sandbox", unit: "MiB", values: sandboxes },
    ],
    goals: [],
    facts: { onTopMiB: median(sandboxes) - median(baseline), goalOnTopMiB: 20 },
  });
} finally {
  await gateway.dispose();
  bare.dispose();
}
