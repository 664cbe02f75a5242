import { EXIT, Fault, sentenceOf } from "../fault.ts";
import type { Invocation } from "../invocation.ts";
import { parseInvocation } from "../node/parse-invocation.ts";
import { runDoctor, runStatus, runVersion } from "./run-status.ts";
import { runTestbed } from "./run-testbed.ts";
import { runBenches, runTest } from "./run-test.ts";
import { runDown, runUp } from "./run-up.ts";
import { createWorld } from "./world.ts";

// A reader that has seen enough, such as head, is no reason to stop half-way.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
process.exitCode = await main(process.argv.slice(2));

async function main(words: readonly string[]): Promise<number> {
  const interrupt = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(name, () => interrupt.abort(new Fault("interrupted")));
  const json = words.includes("--json");
  try {
    return await run(parseInvocation(words), interrupt.signal);
  } catch (error) {
    // A status line of a terminal is still there.
    if (process.stdout.isTTY && !json) process.stdout.write("\r\u001b[2K");
    if (interrupt.signal.aborted) {
      process.stderr.write("atoll: interrupted\n");
      return EXIT.interrupted;
    }
    const message = sentenceOf(error);
    process.stderr.write(`atoll: ${message}\n`);
    if (json) process.stdout.write(`${JSON.stringify({ event: "error", message })}\n`);
    return error instanceof Fault ? error.exitCode : EXIT.failed;
  }
}

function run(invocation: Invocation, signal: AbortSignal): Promise<number> {
  const world = createWorld(invocation, signal);
  switch (invocation.verb) {
    case "up":
      return runUp(invocation, world);
    case "down":
      return runDown(invocation, world);
    case "status":
      return runStatus(world);
    case "test":
      return runTest(invocation, world);
    case "bench":
      return runBenches(invocation, world);
    case "testbed":
      return runTestbed(invocation, world);
    case "doctor":
      return runDoctor(invocation, world);
    case "version":
      return runVersion(world);
  }
}
