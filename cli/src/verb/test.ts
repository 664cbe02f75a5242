import { EXIT, sentenceOf } from "../fault.ts";
import type { Suite } from "../test/suite.ts";
import { total, type SuiteResult } from "../test/suite-table.ts";

/** What `atoll test` needs from the world. */
export interface TestPorts {
  readonly isRoot: boolean;
  readonly setUp: () => Promise<void>;
  /** Has the servers of object stores built. */
  readonly prepareStores: () => Promise<void>;
  /** Has the testbed up, whatever the suite before has done to it. */
  readonly bringUpTestbed: () => Promise<void>;
  readonly runSuite: (suite: Suite, onLine: (line: string) => void) => Promise<{ result: SuiteResult; output: string }>;
  readonly report: TestReport;
  readonly signal: AbortSignal;
}

/** Where progress and results go. */
export interface TestReport {
  start(suite: Suite): void;
  line(suite: Suite, line: string): void;
  end(suite: Suite, result: SuiteResult, output: string): void;
  finish(results: readonly SuiteResult[]): void;
}

/** Runs suites in order and answers the exit code. A suite that cannot run counts as failed, never as absent. */
export async function runTests(suites: readonly Suite[], ports: TestPorts): Promise<number> {
  const results: SuiteResult[] = [];
  const setUp = createOnce(ports.setUp);
  for (const suite of suites) {
    if (ports.signal.aborted) break;
    const obstacle = await findObstacle(suite, ports, setUp);
    ports.report.start(suite);
    const { result, output } =
      obstacle === undefined ? await runOne(suite, ports) : { result: notRun(suite, obstacle), output: "" };
    ports.report.end(suite, result, output);
    results.push(result);
  }
  ports.report.finish(results);
  if (ports.signal.aborted) return EXIT.interrupted;
  const { passed, failed } = total(results);
  return failed === 0 && passed > 0 ? EXIT.done : EXIT.failed;
}

async function runOne(suite: Suite, ports: TestPorts): Promise<{ result: SuiteResult; output: string }> {
  try {
    return await ports.runSuite(suite, (line) => ports.report.line(suite, line));
  } catch (error) {
    return { result: notRun(suite, `did not start: ${sentenceOf(error)}`), output: "" };
  }
}

async function findObstacle(
  suite: Suite,
  ports: TestPorts,
  setUp: () => Promise<string | undefined>,
): Promise<string | undefined> {
  if (suite.needs === "nothing") return undefined;
  if (!ports.isRoot) return "needs root";
  if (suite.needs === "root") return undefined;
  const obstacle = await setUp();
  if (obstacle !== undefined || suite.needs === "setup") return obstacle;
  for (const [what, prepare] of preparations(suite.needs, ports)) {
    const failure = await prepare().then(
      () => undefined,
      (error: unknown) => `${what} failed: ${sentenceOf(error)}`,
    );
    if (failure !== undefined) return failure;
  }
  return undefined;
}

/** What is done before a suite, and how it is called when it fails. */
function preparations(
  needs: "stores" | "testbed" | "platform",
  { prepareStores, bringUpTestbed }: TestPorts,
): readonly (readonly [string, () => Promise<void>])[] {
  const stores = ["building stores", prepareStores] as const;
  const testbed = ["the testbed", bringUpTestbed] as const;
  return { stores: [stores], testbed: [testbed], platform: [stores, testbed] }[needs];
}

/** The set-up, at most once; answers why it failed. */
function createOnce(setUp: () => Promise<void>): () => Promise<string | undefined> {
  let outcome: Promise<string | undefined> | undefined;
  return () =>
    (outcome ??= setUp().then(
      () => undefined,
      (error: unknown) => `set-up failed: ${sentenceOf(error)}`,
    ));
}

function notRun({ name, budgetSeconds }: Suite, note: string): SuiteResult {
  return { name, budgetSeconds, seconds: 0, passed: 0, failed: 1, note };
}
