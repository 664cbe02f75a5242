import { spawn } from "node:child_process";
import { once } from "node:events";
import { TEST_IMAGE } from "./harness/cluster-images.ts";
import { startHostGateway } from "./harness/host-gateway.ts";
import { startHostOperator } from "./harness/host-operator.ts";
import type { RuntimeName } from "./harness/runtimes.ts";

/**
 * Runs a program against operator and gateway of the present sources as processes of this machine,
 * with sandboxes in the cluster: `node test/run-on-cluster.ts PROGRAM [ARGUMENTS]`, the gateway's
 * address in ATOLL_TEST_URL. Quicker to try a change with than an installation. ATOLL_TEST_RUNTIME
 * names the gateway's runtime.
 */
const [program = "", ...words] = process.argv.slice(2);
const runtime = (process.env["ATOLL_TEST_RUNTIME"] ?? "bun") as RuntimeName;
const operator = await startHostOperator();
try {
  const gateway = await startHostGateway(operator, { runtime });
  const env = { ...process.env, ATOLL_TEST_URL: gateway.url, ATOLL_TEST_IMAGE: TEST_IMAGE };
  const child = spawn(program, words, { stdio: ["ignore", "inherit", "inherit"], env });
  const [exitCode] = await once(child, "exit");
  process.exitCode = exitCode ?? 1;
  if (exitCode !== 0) process.stderr.write(`gateway: ${gateway.log()}\noperator: ${operator.log()}\n`);
  await gateway.dispose();
} finally {
  await operator.dispose();
}
