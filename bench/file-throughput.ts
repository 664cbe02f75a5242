import { Atoll, type Sandbox } from "#sdk";
import { startGateway } from "../test/harness/gateway-process.ts";
import { report } from "./harness/report.ts";
import { inTurn, timeMs } from "./harness/samples.ts";

const BYTES = Number(process.env["ATOLL_BENCH_BYTES"] ?? 1024 ** 3);
const ROUNDS = Number(process.env["ATOLL_BENCH_ROUNDS"] ?? 3);
const PIECE = new Uint8Array(1 << 20).fill(97);

const gateway = await startGateway();

function body(): ReadableStream<Uint8Array<ArrayBuffer>> {
  let left = BYTES;
  return new ReadableStream({
    pull(controller) {
      const piece = PIECE.subarray(0, Math.min(left, PIECE.length));
      left -= piece.length;
      if (piece.length > 0) controller.enqueue(piece);
      if (left === 0) controller.close();
    },
  });
}

async function download(sandbox: Sandbox): Promise<void> {
  let bytes = 0;
  for await (const chunk of await sandbox.filesystem.readStream("/root/up")) bytes += chunk.length;
  if (bytes !== BYTES) throw new Error(`${bytes} of ${BYTES} bytes came`);
}

async function copy(sandbox: Sandbox): Promise<void> {
  const { exitCode, stderr } = await sandbox.commands.run(["cp", "/root/up", "/root/copy"]);
  if (exitCode !== 0) throw new Error(stderr);
}

const rate = async (work: () => Promise<unknown>): Promise<number> => BYTES / 1000 / (await timeMs(work));

try {
  const sandbox = await new Atoll({ url: gateway.url }).sandboxes.create({ image: "atoll/debian" });
  const [up = [], cp = [], down = []] = await inTurn(ROUNDS, [
    () => rate(() => sandbox.filesystem.write("/root/up", body())),
    () => rate(() => copy(sandbox)),
    () => rate(() => download(sandbox)),
  ]);
  report({
    question: `How fast does a file of ${BYTES} bytes go in and out?`,
    series: [
      { name: "cp inside", unit: "MB/s", values: cp },
      { name: "upload", unit: "MB/s", values: up },
      { name: "download", unit: "MB/s", values: down },
    ],
    goals: [
      { of: "upload", to: "cp inside", atLeast: 0.5 },
      { of: "download", to: "cp inside", atLeast: 0.5 },
    ],
  });
} finally {
  await gateway.dispose();
}
