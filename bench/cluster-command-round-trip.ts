import { Atoll } from "#sdk";
import { onPlatform } from "./harness/on-platform.ts";
import { report } from "./harness/report.ts";
import { runTrue } from "./harness/run-true.ts";
import { inTurn, timeMs } from "./harness/samples.ts";

const ROUNDS = Number(process.env["ATOLL_BENCH_ROUNDS"] ?? 50);

await onPlatform(async ({ url, image, cluster, raw }) => {
  const pod = await raw.start();
  const sandbox = await new Atoll({ url }).sandboxes.create({ image });
  const [baseline = [], trip = []] = await inTurn(ROUNDS, [
    () =>
      timeMs(async () => {
        const { exitCode } = await cluster.run("kubectl", ["-n", raw.namespace, "exec", pod, "--", "true"]);
        if (exitCode !== 0) throw new Error(`kubectl exec ended with ${exitCode}`);
      }),
    () => timeMs(() => runTrue(sandbox)),
  ]);
  await sandbox.delete();
  report({
    question: "How long does `true` take on Kubernetes, through client, gateway and agent?",
    series: [
      { name: "kubectl exec true", unit: "ms", values: baseline },
      { name: "commands.run", unit: "ms", values: trip },
    ],
    goals: [{ of: "commands.run", to: "kubectl exec true", atMost: 0.3 }],
  });
});
