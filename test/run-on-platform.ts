import { spawn } from "node:child_process";
import { once } from "node:events";
import { startPlatform } from "./harness/platform.ts";

/**
 * Runs a program against the platform on the testbed: `node test/run-on-platform.ts PROGRAM [ARGUMENTS]`
 * with the gateway's address in ATOLL_TEST_URL. The platform is installed before and removed afterwards.
 */
const [program = "", ...words] = process.argv.slice(2);
const platform = await startPlatform();
try {
  const env = { ...process.env, ATOLL_TEST_URL: platform.url };
  const child = spawn(program, words, { stdio: ["ignore", "inherit", "inherit"], env });
  const [exitCode] = await once(child, "exit");
  process.exitCode = exitCode ?? 1;
} finally {
  await platform.dispose();
}
