import { Atoll } from "#sdk";
import { startGateway } from "../test/harness/gateway-process.ts";
import { BareRunsc } from "./harness/bare-runsc.ts";
import { report } from "./harness/report.ts";
import { runTrue } from "./harness/run-true.ts";
import { inTurn, timeMs } from "./harness/samples.ts";

const ROUNDS = Number(process.env["ATOLL_BENCH_ROUNDS"] ?? 20);

const bare = new BareRunsc();
const cold = await startGateway({ env: { ATOLL_POOL_SIZE: "0" } });
const pooled = await startGateway({ env: { ATOLL_POOL_SIZE: "1" } });

async function firstCommand(url: string): Promise<number> {
  const client = new Atoll({ url });
  let sandboxId = "";
  const ms = await timeMs(async () => {
    const sandbox = await client.sandboxes.create({ image: "atoll/debian" });
    sandboxId = sandbox.id;
    await runTrue(sandbox);
  });
  await (await client.sandboxes.get(sandboxId)).delete();
  // The pool refills and the removal ends outside the measured time.
  await new Promise((done) => setTimeout(done, 1500));
  return ms;
}

try {
  const [baseline = [], coldMs = [], pooledMs = []] = await inTurn(ROUNDS, [
    () => timeMs(() => bare.run(["/bin/true"])),
    () => firstCommand(cold.url),
    () => firstCommand(pooled.url),
  ]);
  report({
    question: "How long from create to the first command's answer, image cached?",
    series: [
      { name: "runsc run true", unit: "ms", values: baseline },
      { name: "cold", unit: "ms", values: coldMs },
      { name: "pre-booted", unit: "ms", values: pooledMs },
    ],
    goals: [
      { of: "cold", to: "runsc run true", atMost: 1.3 },
      { of: "pre-booted", to: "runsc run true", atMost: 0.5 },
    ],
  });
} finally {
  await Promise.all([cold.dispose(), pooled.dispose()]);
  bare.dispose();
}
