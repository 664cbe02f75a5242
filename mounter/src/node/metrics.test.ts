import { describe, expect, test } from "vitest";
import { createMetrics } from "./metrics.ts";

describe("createMetrics()", () => {
  test("renders what was counted and what is asked for", async () => {
    const metrics = createMetrics(() => 10_000);
    metrics.records.began();
    metrics.records.ended(1500);
    metrics.restores.restored("failed", 200);
    metrics.collected({
      removedLayers: 2,
      removedBytes: 30,
      abortedUploads: 1,
      unreadable: [{ key: "a", fault: "b" }],
    });
    metrics.watchQueue("snapshot", { depth: 3, active: 1 });
    metrics.watchInformer("pods", { lastProgressMs: 4000 });
    metrics.watchInformer("pods", { lastProgressMs: 9000 });
    metrics.apiCall({ verb: "get", resource: "pods", status: 200, durationMs: 1 });
    const watched = { snapshots: () => 1, restores: () => 2, held: () => 3, isCollector: () => true };
    metrics.watch({ ...watched, diskBytes: () => ({ cache: 7 }) });
    const { text, contentType } = await metrics.render();
    expect(contentType).toContain("text/plain");
    for (const line of [
      "atoll_mounter_snapshots_begun_total 1",
      "atoll_mounter_snapshot_duration_seconds_sum 1.5",
      'atoll_mounter_restore_duration_seconds_count{outcome="failed"} 1',
      "atoll_mounter_collected_layers_total 2",
      "atoll_mounter_collected_bytes_total 30",
      "atoll_mounter_aborted_uploads_total 1",
      "atoll_mounter_unreadable_manifests_total 1",
      'atoll_mounter_queue_depth{controller="snapshot"} 3',
      'atoll_mounter_informer_lag_seconds{resource="pods"} 6',
      'atoll_mounter_api_requests_total{verb="get",resource="pods",code="200"} 1',
      "atoll_mounter_snapshots 1",
      "atoll_mounter_restores 2",
      "atoll_mounter_held_questions 3",
      'atoll_mounter_disk_bytes{place="cache"} 7',
      "atoll_mounter_collector 1",
    ])
      expect(text).toContain(`${line}\n`);
  });
});
