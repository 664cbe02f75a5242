import { Atoll } from "#sdk";
import { startGateway } from "../test/harness/gateway-process.ts";
import { BareRunsc } from "./harness/bare-runsc.ts";
import { report } from "./harness/report.ts";
import { runTrue } from "./harness/run-true.ts";
import { inTurn, timeMs } from "./harness/samples.ts";

const ROUNDS = Number(process.env["ATOLL_BENCH_ROUNDS"] ?? 100);

const bare = new BareRunsc();
const gateway = await startGateway();

try {
  const container = await bare.start(["/bin/sleep", "infinity"]);
  const sandbox = await new Atoll({ url: gateway.url }).sandboxes.create({ image: "atoll/debian" });
  const [baseline = [], trip = []] = await inTurn(ROUNDS, [
    () => timeMs(() => bare.exec(container, ["/bin/true"])),
    () => timeMs(() => runTrue(sandbox)),
  ]);
  await bare.remove(container);
  report({
    question: "How long does `true` take through client, gateway and agent?",
    series: [
      { name: "runsc exec true", unit: "ms", values: baseline },
      { name: "commands.run", unit: "ms", values: trip },
    ],
    goals: [
      { of: "commands.run", to: "runsc exec true", atMost: 0.4 },
      { of: "commands.run", to: "runsc exec true", atMost: 0.25 },
    ],
  });
} finally {
  await gateway.dispose();
  bare.dispose();
}
