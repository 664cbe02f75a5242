import { readFileSync } from "node:fs";
import { Atoll, type Sandbox } from "#sdk";
import { startGateway } from "../test/harness/gateway-process.ts";
import { BareRunsc } from "./harness/bare-runsc.ts";
import { report } from "./harness/report.ts";
import { inTurn, timeMs } from "./harness/samples.ts";

const BYTES = Number(process.env["ATOLL_BENCH_BYTES"] ?? 1024 ** 3);
const ROUNDS = Number(process.env["ATOLL_BENCH_ROUNDS"] ?? 3);
const COMMAND = ["head", "-c", String(BYTES), "/dev/zero"];

const bare = new BareRunsc();
const gateway = await startGateway();
let peakMiB = 0;
const watch = setInterval(() => (peakMiB = Math.max(peakMiB, residentMiB(gateway.pid))), 100);

async function throughGateway(sandbox: Sandbox): Promise<number> {
  const command = await sandbox.commands.spawn(COMMAND);
  let bytes = 0;
  for await (const chunk of command.stdoutBytes) bytes += chunk.length;
  if (bytes !== BYTES || (await command.wait()) !== 0) throw new Error(`${bytes} of ${BYTES} bytes came`);
  return bytes;
}

function residentMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024;
}

try {
  const container = await bare.start(["/bin/sleep", "infinity"]);
  const sandbox = await new Atoll({ url: gateway.url }).sandboxes.create({ image: "atoll/debian" });
  const beforeMiB = residentMiB(gateway.pid);
  const [baseline = [], stream = []] = await inTurn(ROUNDS, [
    async () => BYTES / 1000 / (await timeMs(() => bare.exec(container, COMMAND))),
    async () => BYTES / 1000 / (await timeMs(() => throughGateway(sandbox))),
  ]);
  await bare.remove(container);
  report({
    question: `How fast does standard output of ${BYTES} bytes come through the gateway?`,
    series: [
      { name: "runsc exec", unit: "MB/s", values: baseline },
      { name: "gateway", unit: "MB/s", values: stream },
    ],
    goals: [{ of: "gateway", to: "runsc exec", atLeast: 1 }],
    facts: { gatewayMemoryBeforeMiB: beforeMiB, gatewayMemoryPeakMiB: peakMiB },
  });
} finally {
  clearInterval(watch);
  await gateway.dispose();
  bare.dispose();
}
