import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { podName } from "#core/kubernetes/names.ts";
import { NETWORK_POLICIES, PODS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { until } from "../harness/until.ts";
import { countWrites, readWrites } from "./audit.ts";
import { startControlPlane, type ControlPlane } from "./control-plane.ts";
import { createCreator, type Creator } from "./creator.ts";
import { operatorProcess, quantile, type OperatorProcess } from "./operator-process.ts";
import { call, planeClient } from "./plane-client.ts";
import { measureRaw, type Sample } from "./raw-writes.ts";
import { BOXES, preparePlane, READY_MS, SYSTEM } from "./prepare-plane.ts";

const SANDBOX_COUNT = process.env["ATOLL_SOAK"] === "1" ? 10_000 : 1000;
const NODES = 10;
/** Requests under way at once, as several gateways make them. */
const AT_ONCE = 32;
const RESTART_CREATES = 200;
/** A step on a busy machine; nothing is concluded from how long it takes. */
const WAIT_MS = 60_000 + SANDBOX_COUNT * 60;
const TEST_MS = 4 * WAIT_MS;
const MOST_WRITES = 8;
const REPORTS = join(import.meta.dirname, "../../.atoll/test");
const OPERATOR_LOG = join(REPORTS, "scale-operator.log");

let plane: ControlPlane;
let admin: KubeClient;
let operator: OperatorProcess;
let creator: Creator;

beforeAll(async () => {
  mkdirSync(REPORTS, { recursive: true });
  rmSync(OPERATOR_LOG, { force: true });
  plane = await startControlPlane();
  admin = planeClient(plane, "admin");
  await preparePlane(admin, NODES);
  operator = await operatorProcess(
    {
      KUBECONFIG: plane.kubeconfig("atoll-operator"),
      ATOLL_SYSTEM_NAMESPACE: SYSTEM,
      ATOLL_SANDBOX_NAMESPACES: BOXES,
      // Simulated nodes run nothing that could try anything.
      ATOLL_NETWORK_CHECK: "false",
      ATOLL_SIDECAR_IMAGE: "registry.invalid/agent:1",
    },
    OPERATOR_LOG,
  );
  await operator.start();
  creator = await createCreator(planeClient(plane, "atoll-gateway"), { namespace: BOXES, waitMs: WAIT_MS });
}, TEST_MS);

afterAll(async () => {
  creator?.end();
  await operator?.kill("SIGTERM");
  await plane?.stop();
}, TEST_MS);

const names = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
const secondsSince = (startMs: number) => Math.round((performance.now() - startMs) / 10) / 100;
const round = (value: number) => Math.round(value * 100) / 100;

describe("the operator at scale", () => {
  it(
    `runs and removes ${SANDBOX_COUNT} sandboxes with at most ${MOST_WRITES} writes each, and catches up after kill -9`,
    async () => {
      const raw = await measureRaw(admin, { namespace: SYSTEM, sample: await takeSample(), atOnce: AT_ONCE });
      const all = names("box", SANDBOX_COUNT);

      const createMs = performance.now();
      await Promise.all([creator.create(all, AT_ONCE), creator.running(all)]);
      const createSeconds = secondsSince(createMs);
      const held = operator.memory();
      const created = await operator.metrics();

      const extra = names("extra", RESTART_CREATES);
      await operator.kill("SIGKILL");
      await creator.create(extra, AT_ONCE);
      await operator.start();
      const startedMs = performance.now();
      await creator.running(extra);
      const catchUpSeconds = secondsSince(startedMs);

      const everything = [...all, ...extra];
      const removeMs = performance.now();
      await Promise.all([creator.remove(everything, AT_ONCE), creator.gone(everything)]);
      const removeSeconds = secondsSince(removeMs);
      await until(depth, (keys) => keys === 0, { timeoutMs: READY_MS });
      const removed = await operator.metrics();

      const total = everything.length;
      // With the sample.
      const sandboxes = total + 1;
      const writes = (await readWrites(plane.auditLog)).filter(
        ({ namespace, resource }) => namespace === BOXES && concerns(resource),
      );
      const done = writes.filter(({ resource, code }) => resource !== "events" && code < 400);
      const allPerSandbox = done.length / sandboxes;
      const eventsPerSandbox =
        writes.filter(({ resource, code }) => resource === "events" && code < 400).length / sandboxes;
      const ours = done.filter(({ user }) => user.startsWith("atoll-"));
      const perSecond = SANDBOX_COUNT / (createSeconds + (removeSeconds * SANDBOX_COUNT) / total);
      report({
        sandboxes,
        processors: cpus().length,
        rawWritesPerSecond: raw,
        sandboxesPerSecond: round(perSecond),
        partOfRaw: {
          configMaps: round((perSecond * allPerSandbox) / raw.configMaps),
          sandboxWrites: round((perSecond * (allPerSandbox + eventsPerSandbox)) / raw.sandboxWrites),
        },
        createSeconds,
        removeSeconds,
        catchUpSeconds,
        writesPerSandbox: {
          all: round(allPerSandbox),
          events: round(eventsPerSandbox),
          ours: round(ours.length / sandboxes),
        },
        writesBySource: countWrites(writes),
        operatorMemoryMib: {
          peak: Math.round(held.peakBytes / 2 ** 20),
          held: Math.round(held.presentBytes / 2 ** 20),
        },
        reconcileP99Seconds: reconcileP99(created, removed),
      });
      expect(await left()).toEqual({ sandboxes: 0, pods: 0, policies: 0 });
      expect(ours.length / sandboxes).toBeLessThanOrEqual(MOST_WRITES);
      const refused = writes.filter(({ user, code }) => user.startsWith("atoll-") && code >= 400);
      expect(refused.length / total).toBeLessThan(0.05);
    },
    TEST_MS,
  );
});

/** A sandbox and its pod as they are while it runs. */
async function takeSample(): Promise<Sample> {
  const ref = { namespace: BOXES, name: "sample" };
  await creator.create([ref.name], 1);
  await creator.running([ref.name]);
  const sandbox = await admin.get(SANDBOXES, ref, call());
  const pod = await admin.get(PODS, { ...ref, name: podName(ref.name) }, call());
  await creator.remove([ref.name], 1);
  await creator.gone([ref.name]);
  return { sandbox, pod };
}

/** Keys of sandboxes that the operator has to work on. */
async function depth(): Promise<number> {
  const metrics = await operator.metrics();
  const of = (name: string) => metrics.get(`atoll_operator_queue_${name}{controller="sandbox"}`) ?? 0;
  return of("depth") + of("active");
}

function reconcileP99(...metrics: readonly ReadonlyMap<string, number>[]): readonly number[] {
  const name = "atoll_operator_reconcile_duration_seconds";
  return metrics.map((samples) => quantile(samples, name, 'controller="sandbox"', 0.99));
}

/** Writes that happen without sandboxes too are nobody's. */
function concerns(resource: string): boolean {
  return ["sandboxes", "pods", "networkpolicies", "events"].includes(resource.split("/")[0] ?? "");
}

async function left(): Promise<Record<string, number>> {
  const query = { namespace: BOXES };
  const [sandboxes, pods, policies] = await Promise.all([
    admin.list(SANDBOXES, query, call()),
    admin.list(PODS, query, call()),
    admin.list(NETWORK_POLICIES, query, call()),
  ]);
  return { sandboxes: sandboxes.items.length, pods: pods.items.length, policies: policies.items.length };
}

function report(figures: object): void {
  const text = JSON.stringify(figures, undefined, 2);
  writeFileSync(join(REPORTS, "scale-report.json"), `${text}\n`);
  console.log(text);
  const warnings = readFileSync(OPERATOR_LOG, "utf8")
    .split("\n")
    .filter((line) => /"level":"(warn|error)"/.test(line));
  console.log(`${warnings.length} warnings of the operator`, warnings.slice(0, 3));
}
