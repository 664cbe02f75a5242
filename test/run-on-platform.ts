import { spawn } from "node:child_process";
import { once } from "node:events";
import { startPlatform } from "./harness/platform.ts";
import { startSnapshotStore, type SnapshotStore } from "./harness/snapshot-store.ts";

/**
 * Runs a program against the platform on the testbed: `node test/run-on-platform.ts PROGRAM [ARGUMENTS]`
 * with the gateway's address in ATOLL_TEST_URL. The platform is installed before, with a store of
 * snapshots, and removed afterwards.
 */
const [program = "", ...words] = process.argv.slice(2);
const platform = await startPlatform();
let store: SnapshotStore | undefined;
try {
  store = await startSnapshotStore();
  const env = { ...process.env, ATOLL_TEST_URL: platform.url, ATOLL_TEST_SNAPSHOTS: "1" };
  const child = spawn(program, words, { stdio: ["ignore", "inherit", "inherit"], env });
  const [exitCode] = await once(child, "exit");
  process.exitCode = exitCode ?? 1;
} finally {
  // Sandboxes that are left may want a snapshot at their end.
  await platform.dispose();
  await store?.end();
}
