import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { renderTable } from "../display/table.ts";
import { createJsonReport, createTextReport } from "../display/test-report.ts";
import { EXIT, Fault } from "../fault.ts";
import type { Bench, Test } from "../invocation.ts";
import { listBenches, runBench } from "../node/bench.ts";
import { lockHome } from "../node/home-lock.ts";
import { runSuite } from "../node/run-suite.ts";
import { selectSuites } from "../test/select-suites.ts";
import { suiteEnvironment } from "../node/suite-environment.ts";
import { REPORTS, SOAK_FACTOR, SUITES } from "../test/suites.ts";
import { runTests } from "../verb/test.ts";
import { createTestTestbed, prepareStores, testbedRoot } from "./run-testbed.ts";
import { makeHome, setUp, type World } from "./world.ts";

export async function runTest(options: Test, world: World): Promise<number> {
  const factor = options.soak ? SOAK_FACTOR : 1;
  const suites = selectSuites(SUITES, options).map((suite) => ({
    ...suite,
    budgetSeconds: suite.budgetSeconds * factor,
  }));
  if (options.list) {
    const rows = suites.map((suite) => [suite.name, suite.needs, String(suite.budgetSeconds), suite.title]);
    world.write(world.json ? JSON.stringify(suites) : renderTable(["suite", "needs", "budget", ""], rows, ["budget"]));
    return EXIT.done;
  }
  await makeReports(world.repo);
  const env = suiteEnvironment({ ...world, testbedHome: testbedRoot(world) }, { soak: options.soak });
  const testbed = createTestTestbed(world);
  try {
    return await runTests(suites, {
      isRoot: world.isRoot,
      setUp: () => setUpAlone(world),
      prepareStores: () => prepareStores(world),
      bringUpTestbed: testbed.bringUp,
      runSuite: (suite, onLine) => runSuite(suite, { repo: world.repo, env, signal: world.signal, onLine }),
      report: world.json ? createJsonReport(world.write) : createTextReport(world.screen, () => performance.now()),
      signal: world.signal,
    });
  } finally {
    await testbed.leave();
  }
}

export async function runBenches(options: Bench, world: World): Promise<number> {
  const all = await listBenches(world.repo);
  const unknown = options.names.find((name) => !all.includes(name));
  if (unknown !== undefined) {
    throw new Fault(`there is no benchmark "${unknown}"; there are ${all.join(", ") || "none"}`, {
      exitCode: EXIT.usage,
    });
  }
  const names = options.names.length === 0 ? all : options.names;
  if (options.list || names.length === 0) {
    world.write(world.json ? JSON.stringify(names) : names.join("\n"));
    return EXIT.done;
  }
  if (!world.isRoot) throw new Fault("root is needed to run sandboxes; run it with sudo");
  await setUpAlone(world);
  if (names.some(needsStores)) await prepareStores(world);
  const env = suiteEnvironment({ ...world, testbedHome: testbedRoot(world) }, { soak: false });
  let exitCode: number = EXIT.done;
  for (const name of names) {
    if (world.signal.aborted) return EXIT.interrupted;
    if (!(await runBench(name, { repo: world.repo, env, json: world.json, signal: world.signal })))
      exitCode = EXIT.failed;
  }
  return exitCode;
}

/** What is measured of snapshots is measured over a real server of objects. */
function needsStores(bench: string): boolean {
  return /\bsnapshot-/.test(bench);
}

async function makeReports(repo: string): Promise<void> {
  try {
    await mkdir(join(repo, REPORTS), { recursive: true });
  } catch (error) {
    throw new Fault(`${join(repo, REPORTS)} is not writable; run it as the owner of ${repo}`, { cause: error });
  }
}

async function setUpAlone(world: World): Promise<void> {
  await makeHome(world.home);
  const onWait = (): void => world.screen.print("Another atoll is at work on this machine; waiting for it.");
  const lock = await lockHome(world.home, { signal: world.signal, onWait });
  try {
    await setUp(world);
  } finally {
    await lock.release();
  }
}
