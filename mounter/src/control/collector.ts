import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { Clock } from "#core/clock.ts";
import { createController } from "#core/kubernetes/control/controller.ts";
import type { Informer } from "#core/kubernetes/informer-port.ts";
import { keyOf } from "#core/kubernetes/object-key.ts";
import type { Log } from "#core/log.ts";
import type { CollectedNamespace, MounterMetrics } from "./ports.ts";
import { createRecordSettler, type RecordSettlerOptions } from "./record-settler.ts";

export interface CollectorOptions extends RecordSettlerOptions {
  readonly namespaces: readonly string[];
  readonly records: readonly Informer<RootfsSnapshotResource>[];
  /** Removes what no manifest of a namespace names. */
  readonly collect: (namespace: string, signal: AbortSignal) => Promise<CollectedNamespace>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: Pick<MounterMetrics, "collected" | "controller" | "watchQueue">;
}

/** Time between two looks at a namespace's part of the store, less up to half of it by chance. */
const COLLECT_MS = 600_000;
/** The same after a look that the store gave no answer to. */
const AGAIN_MS = 60_000;
const CONCURRENCY = 4;

/** What one of all mounters does for all: tidies the store, and ends records that nobody else can. */
export function createCollector(options: CollectorOptions): { lead(term: AbortSignal): Promise<void> } {
  const { namespaces, records, collect, clock, random, log, metrics } = options;
  const settle = createRecordSettler(options);

  const tidy = async (namespace: string, term: AbortSignal): Promise<void> => {
    while (!term.aborted) {
      let pauseMs = COLLECT_MS;
      try {
        const found = await collect(namespace, term);
        metrics.collected(found);
        for (const each of found.unreadable)
          log.warn("A manifest does not tell what it names: layers older than it stay until it is mended or removed", {
            namespace,
            ...each,
          });
      } catch (error) {
        if (term.aborted) return;
        log.warn("The store could not be tidied", { namespace, error });
        pauseMs = AGAIN_MS;
      }
      await clock.sleep(pauseMs * (1 - random() / 2), term).catch(() => undefined);
    }
  };

  return {
    async lead(term) {
      const observer = metrics.controller("settle");
      const keyField = "record";
      const controller = createController(settle, { clock, random, log, observer, keyField, concurrency: CONCURRENCY });
      metrics.watchQueue("settle", controller);
      const endings = records.map((informer) => informer.onChange((key) => controller.enqueue(key)));
      for (const informer of records) for (const record of informer.values()) controller.enqueue(keyOf(record));
      try {
        await Promise.all([controller.run(term), ...namespaces.map((namespace) => tidy(namespace, term))]);
      } finally {
        for (const end of endings) end();
      }
    },
  };
}
