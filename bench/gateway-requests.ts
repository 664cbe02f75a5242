import { execFileSync, spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { Atoll } from "#sdk";
import { freePort } from "../test/harness/free-ports.ts";
import { startGateway } from "../test/harness/gateway-process.ts";
import { RUNTIMES, type RuntimeName } from "../test/harness/runtimes.ts";
import { untilReady } from "../test/harness/until-ready.ts";
import { report } from "./harness/report.ts";
import { inTurn, type Series } from "./harness/samples.ts";

const ROUNDS = Number(process.env["ATOLL_BENCH_ROUNDS"] ?? 5);
const SECONDS = 3;
const NAMES: readonly RuntimeName[] = ["bun", "node", "deno"];

if (spawnSync("wrk", ["--version"]).error !== undefined) {
  console.error("The load comes from wrk, which this machine lacks; on Debian: apt-get install wrk");
  process.exit(1);
}

/** Requests a second that `wrk` on the other core gets from a server held to the first. */
function load(pid: number, url: string): number {
  execFileSync("taskset", ["--all-tasks", "--cpu-list", "--pid", "0", String(pid)], { stdio: "ignore" });
  const text = execFileSync("taskset", ["--cpu-list", "1", "wrk", "-t1", "-c32", `-d${SECONDS}s`, url], {
    encoding: "utf8",
  });
  if (/Non-2xx/.test(text)) throw new Error(text);
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]);
}

async function bare(runtime: RuntimeName): Promise<{ url: string; pid: number; stop(): void }> {
  const port = await freePort();
  const [program, ...args] = RUNTIMES[runtime];
  const child = spawn(program, [...args, join(import.meta.dirname, "harness/bare-hono.ts"), String(port)], {
    stdio: "ignore",
  });
  const url = `http://127.0.0.1:${port}`;
  await untilReady(`${url}/readyz`, { who: `Bare Hono on ${runtime}`, timeoutMs: 10_000 });
  return { url: `${url}/v1/sandboxes/q3v8k2m5n7p1r4t6w9xayc`, pid: child.pid ?? 0, stop: () => child.kill("SIGKILL") };
}

const series: Series[] = [];
for (const runtime of NAMES) {
  const baseline = await bare(runtime);
  const gateway = await startGateway({ runtime, env: { ATOLL_BACKEND: "memory", ATOLL_LOG_LEVEL: "error" } });
  try {
    const { id } = await new Atoll({ url: gateway.url }).sandboxes.create({ image: "atoll/debian" });
    const [bareRates = [], rates = []] = await inTurn(ROUNDS, [
      async () => load(baseline.pid, baseline.url),
      async () => load(gateway.pid, `${gateway.url}/v1/sandboxes/${id}`),
    ]);
    series.push({ name: `${runtime}, bare Hono`, unit: "1/s", values: bareRates });
    series.push({ name: `${runtime}, gateway`, unit: "1/s", values: rates });
  } finally {
    baseline.stop();
    await gateway.dispose();
  }
}
report({
  question: "How many GETs of a sandbox does the gateway answer a second on one core?",
  series,
  goals: NAMES.map((runtime) => ({ of: `${runtime}, gateway`, to: `${runtime}, bare Hono`, atLeast: 0.6 })),
});
