import { describe, expect, it } from "vitest";
import { createMetrics } from "./metrics.ts";

async function valuesOf(metrics: ReturnType<typeof createMetrics>): Promise<Map<string, number>> {
  const { text } = await metrics.render();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  );
}

describe("createMetrics()", () => {
  it("counts sandboxes under the contract's names and buckets", async () => {
    const metrics = createMetrics(() => 0);
    metrics.sandboxes.created();
    metrics.sandboxes.created();
    metrics.sandboxes.timedOut();
    metrics.sandboxes.ready(3000);
    const values = await valuesOf(metrics);
    expect(values.get("isola_sandbox_created_total")).toBe(2);
    expect(values.get("isola_sandbox_timed_out_total")).toBe(1);
    const buckets = [...values.keys()].filter((name) => name.startsWith("isola_sandbox_ready_duration_seconds_bucket"));
    const bounds = buckets.map((name) => /le="(.*)"/.exec(name)?.[1]);
    expect(bounds).toEqual(["0.5", "1", "2", "4", "8", "16", "32", "64", "128", "+Inf"]);
    expect(values.get('isola_sandbox_ready_duration_seconds_bucket{le="2"}')).toBe(0);
    expect(values.get('isola_sandbox_ready_duration_seconds_bucket{le="4"}')).toBe(1);
  });

  it("counts snapshots under the contract's names", async () => {
    const metrics = createMetrics(() => 0);
    metrics.snapshots.created();
    for (const result of ["succeeded", "failed", "failed"] as const) metrics.snapshots.completed(result);
    const values = await valuesOf(metrics);
    expect(values.get("isola_rootfssnapshot_created_total")).toBe(1);
    expect(values.get('isola_rootfssnapshot_completed_total{result="succeeded"}')).toBe(1);
    expect(values.get('isola_rootfssnapshot_completed_total{result="failed"}')).toBe(2);
  });

  it("says whether network policies are enforced, as far as that is known", async () => {
    const metrics = createMetrics(() => 0);
    const read = async () => (await valuesOf(metrics)).get("atoll_operator_network_policy_enforced");
    expect(await read()).toBe(-1);
    metrics.networkVerdict("not-enforced");
    expect(await read()).toBe(0);
    metrics.networkVerdict("enforced");
    expect(await read()).toBe(1);
  });

  it("tells of the watch that has been silent longest, where namespaces have each their own", async () => {
    const metrics = createMetrics(() => 9000);
    for (const lastProgressMs of [8000, 1000, 5000]) metrics.watchInformer("pods", { lastProgressMs });
    const values = await valuesOf(metrics);
    expect(values.get('atoll_operator_informer_lag_seconds{resource="pods"}')).toBe(8);
  });

  it("tells how the machinery fares at the moment it is asked", async () => {
    let nowMs = 1000;
    const metrics = createMetrics(() => nowMs);
    const queue = { depth: 3, active: 2 };
    const leadership = { isHeld: false };
    metrics.watchQueue("sandbox", queue);
    metrics.watchInformer("pods", { lastProgressMs: 500 });
    metrics.watchLeadership(leadership);
    metrics.controller("sandbox").reconciled("done", 10);
    metrics.informer("pods").reconnected("cut");
    metrics.apiCall({ verb: "create", resource: "pods", status: 201, durationMs: 5 });
    metrics.apiCall({ verb: "create", resource: "pods", status: 0, durationMs: 5 });
    nowMs = 2500;
    leadership.isHeld = true;
    const values = await valuesOf(metrics);
    expect(values.get('atoll_operator_queue_depth{controller="sandbox"}')).toBe(3);
    expect(values.get('atoll_operator_queue_active{controller="sandbox"}')).toBe(2);
    expect(values.get('atoll_operator_informer_lag_seconds{resource="pods"}')).toBe(2);
    expect(values.get("atoll_operator_leader")).toBe(1);
    expect(values.get('atoll_operator_informer_reconnects_total{resource="pods",reason="cut"}')).toBe(1);
    expect(values.get('atoll_operator_api_requests_total{verb="create",resource="pods",code="201"}')).toBe(1);
    expect(values.get('atoll_operator_api_requests_total{verb="create",resource="pods",code="0"}')).toBe(1);
    const reconciled = 'atoll_operator_reconcile_duration_seconds_count{controller="sandbox",outcome="done"}';
    expect(values.get(reconciled)).toBe(1);
  });
});
