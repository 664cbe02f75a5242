import { Atoll } from "#sdk";
import { startGateway } from "../test/harness/gateway-process.ts";
import { BareRunsc } from "./harness/bare-runsc.ts";
import { report } from "./harness/report.ts";
import { inTurn, timeMs } from "./harness/samples.ts";

const AT_ONCE = Number(process.env["ATOLL_BENCH_AT_ONCE"] ?? 50);
const ROUNDS = Number(process.env["ATOLL_BENCH_ROUNDS"] ?? 3);

const bare = new BareRunsc();
const gateway = await startGateway({ env: { ATOLL_MAX_SANDBOXES: "200" } });
const client = new Atoll({ url: gateway.url });
let failed = 0;

async function createAll(): Promise<number> {
  const made: string[] = [];
  const ms = await timeMs(() =>
    Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        const sandbox = await client.sandboxes.create({ image: "atoll/debian" });
        made.push(sandbox.id);
        const { exitCode } = await sandbox.commands.run(["true"]);
        if (exitCode !== 0) failed++;
      }),
    ),
  );
  await Promise.all(made.map(async (id) => (await client.sandboxes.get(id)).delete()));
  while ((await client.sandboxes.list()).length > 0) await new Promise((done) => setTimeout(done, 100));
  return ms;
}

try {
  const [baseline = [], burst = []] = await inTurn(ROUNDS, [
    () => timeMs(() => Promise.all(Array.from({ length: AT_ONCE }, () => bare.run(["/bin/true"])))),
    createAll,
  ]);
  report({
    question: `How long until ${AT_ONCE} sandboxes created at once have each answered a command?`,
    series: [
      { name: "runsc run at once", unit: "ms", values: baseline },
      { name: "creates at once", unit: "ms", values: burst },
    ],
    goals: [{ of: "creates at once", to: "runsc run at once", atMost: 1.3 }],
    facts: { failed },
  });
  if (failed > 0) process.exitCode = 1;
} finally {
  await gateway.dispose();
  bare.dispose();
}
