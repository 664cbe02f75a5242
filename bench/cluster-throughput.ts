import { Atoll, type Sandbox } from "#sdk";
import { startGateway } from "../test/harness/gateway-process.ts";
import { onPlatform } from "./harness/on-platform.ts";
import { report } from "./harness/report.ts";
import { inTurn, timeMs } from "./harness/samples.ts";

const BYTES = Number(process.env["ATOLL_BENCH_BYTES"] ?? 256 * 1024 ** 2);
const ROUNDS = Number(process.env["ATOLL_BENCH_ROUNDS"] ?? 5);
const PIECE = new Uint8Array(1 << 20).fill(97);

const rate = async (work: () => Promise<unknown>): Promise<number> => BYTES / 1000 / (await timeMs(work));

async function stdout(sandbox: Sandbox): Promise<void> {
  const command = await sandbox.commands.spawn(["head", "-c", String(BYTES), "/dev/zero"]);
  let bytes = 0;
  for await (const chunk of command.stdoutBytes) bytes += chunk.length;
  if (bytes !== BYTES || (await command.wait()) !== 0) throw new Error(`${bytes} of ${BYTES} bytes came`);
}

async function upload(sandbox: Sandbox): Promise<void> {
  let left = BYTES;
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      const piece = PIECE.subarray(0, Math.min(left, PIECE.length));
      left -= piece.length;
      if (piece.length > 0) controller.enqueue(piece);
      if (left === 0) controller.close();
    },
  });
  await sandbox.filesystem.write("/root/up", body);
}

async function download(sandbox: Sandbox): Promise<void> {
  let bytes = 0;
  for await (const chunk of await sandbox.filesystem.readStream("/root/up")) bytes += chunk.length;
  if (bytes !== BYTES) throw new Error(`${bytes} of ${BYTES} bytes came`);
}

const embedded = await startGateway();
try {
  const near = await new Atoll({ url: embedded.url }).sandboxes.create({ image: "atoll/debian" });
  await onPlatform(async ({ url, image }) => {
    const far = await new Atoll({ url }).sandboxes.create({ image });
    const works = [stdout, upload, download];
    const values = await inTurn(
      ROUNDS,
      works.flatMap((work) => [near, far].map((sandbox) => () => rate(() => work(sandbox)))),
    );
    await far.delete();
    const names = ["stdout", "upload", "download"].flatMap((name) => [`${name}, embedded`, `${name}, cluster`]);
    report({
      question: `How fast do ${BYTES} bytes go through the gateway on Kubernetes?`,
      series: names.map((name, index) => ({ name, unit: "MB/s", values: values[index] ?? [] })),
      goals: ["stdout", "upload", "download"].map((name) => ({
        of: `${name}, cluster`,
        to: `${name}, embedded`,
        atLeast: 0.8,
      })),
    });
  });
} finally {
  await embedded.dispose();
}
