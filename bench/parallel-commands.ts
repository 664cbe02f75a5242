import { Atoll } from "#sdk";
import { startGateway } from "../test/harness/gateway-process.ts";
import { report } from "./harness/report.ts";
import { timeMs } from "./harness/samples.ts";

const PARALLEL = 64;
const EACH = 16;

const gateway = await startGateway();

try {
  const sandbox = await new Atoll({ url: gateway.url }).sandboxes.create({ image: "atoll/debian" });
  const latenciesMs: number[] = [];
  let lost = 0;
  const totalMs = await timeMs(() =>
    Promise.all(
      Array.from({ length: PARALLEL }, async (_, worker) => {
        for (let turn = 0; turn < EACH; turn++) {
          const word = `${worker}-${turn}`;
          latenciesMs.push(
            await timeMs(async () => {
              const { exitCode, stdout } = await sandbox.commands.run(["echo", word]);
              if (exitCode !== 0 || stdout !== `${word}\n`) lost++;
            }),
          );
        }
      }),
    ),
  );
  report({
    question: `How many commands a second does one sandbox run, ${PARALLEL} at a time, and is any lost?`,
    series: [{ name: "echo", unit: "ms", values: latenciesMs }],
    goals: [],
    facts: { commandsPerSecond: (PARALLEL * EACH * 1000) / totalMs, lost },
  });
  if (lost > 0) process.exitCode = 1;
} finally {
  await gateway.dispose();
}
