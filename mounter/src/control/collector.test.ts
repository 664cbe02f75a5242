import { describe, expect, test } from "vitest";
import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import { createInformerCache } from "#core/kubernetes/informer-cache.ts";
import type { ChangeListener, Informer } from "#core/kubernetes/informer-port.ts";
import { silentLog } from "#core/log.ts";
import { createManualClock } from "../../../test/harness/manual-clock.ts";
import { createCollector } from "./collector.ts";
import type { CollectedNamespace } from "./ports.ts";

const NOTHING: CollectedNamespace = { removedLayers: 0, removedBytes: 0, abortedUploads: 0, unreadable: [] };
const recordOf = (name: string, settle: boolean): RootfsSnapshotResource => ({
  metadata: { namespace: "team", name, uid: `uid-${name}`, resourceVersion: "1" },
  spec: { sandboxName: "box", timeoutSeconds: 60, ttlSecondsAfterFinished: 60 },
  status: { nodeName: "gone", ...(settle ? { settle: true as const } : {}) },
});

function prepare() {
  const clock = createManualClock();
  const listeners = new Set<ChangeListener<RootfsSnapshotResource>>();
  const cache = createInformerCache<RootfsSnapshotResource>((...change) => {
    for (const listener of listeners) listener(...change);
  });
  cache.beginList();
  cache.replace({ items: [recordOf("old", true), recordOf("open", false)], resourceVersion: "1" });
  const informer = {
    values: () => cache.values(),
    onChange: (listener: ChangeListener<RootfsSnapshotResource>) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  } as unknown as Informer<RootfsSnapshotResource>;
  const [ended, collected, found]: [string[], string[], CollectedNamespace[]] = [[], [], []];
  const store: { isDown: boolean; unreadable: CollectedNamespace["unreadable"] } = { isDown: false, unreadable: [] };
  const warned: unknown[] = [];
  const collector = createCollector({
    namespaces: ["team", "other"],
    records: [informer],
    find: (key) => cache.get(key),
    work: { find: async () => undefined },
    removeData: async () => undefined,
    writes: {
      end: async ({ name }, end) => {
        ended.push(`${name} ${end.kind}`);
        return "written";
      },
      release: async () => "refused",
    },
    collect: async (namespace) => {
      collected.push(namespace);
      if (store.isDown) throw new Error("The store gives no answer.");
      return { ...NOTHING, unreadable: store.unreadable };
    },
    clock,
    random: () => 0.5,
    log: { ...silentLog, warn: (_message, fields) => void warned.push(fields) },
    metrics: {
      collected: (what) => void found.push(what),
      controller: () => ({ reconciled: () => undefined, waited: () => undefined }),
      watchQueue: () => undefined,
    },
  });
  const add = (record: RootfsSnapshotResource): void =>
    cache.handle({ kind: "added", object: { ...record, metadata: { ...record.metadata, resourceVersion: "2" } } });
  return { clock, collector, add, ended, collected, found, store, warned, listeners };
}

describe("createCollector()", () => {
  test("settles what was left when it begins and what comes later, and nothing else", async () => {
    const { clock, collector, add, ended, listeners } = prepare();
    const term = new AbortController();
    const leading = collector.lead(term.signal);
    await clock.settle();
    expect(ended).toEqual(["old failed"]);
    add(recordOf("new", true));
    await clock.settle();
    expect(ended).toEqual(["old failed", "new failed"]);
    term.abort(new Error("over"));
    await leading;
    expect(listeners.size).toBe(0);
  });

  test("says which manifest does not tell what it names, and why, at each look", async () => {
    const { clock, collector, store, warned } = prepare();
    const [key, fault] = ["rootfssnapshots/team/a.json", "its manifest is no manifest of a snapshot"];
    store.unreadable = [{ key, fault }];
    const term = new AbortController();
    const leading = collector.lead(term.signal);
    await clock.settle();
    expect(warned).toEqual(["team", "other"].map((namespace) => ({ namespace, key, fault })));
    await clock.advance(450_000);
    expect(warned).toHaveLength(4);
    term.abort(new Error("over"));
    await leading;
  });

  test("tidies each namespace now and then, and goes on when the store gave no answer", async () => {
    const { clock, collector, collected, found, store } = prepare();
    const term = new AbortController();
    const leading = collector.lead(term.signal);
    await clock.settle();
    expect([collected.toSorted(), found.length]).toEqual([["other", "team"], 2]);
    store.isDown = true;
    await clock.advance(440_000);
    expect(collected.length).toBe(2);
    await clock.advance(110_000);
    expect([collected.length, found.length]).toEqual([8, 2]);
    store.isDown = false;
    await clock.advance(60_000);
    expect(found.length).toBe(4);
    term.abort(new Error("over"));
    await leading;
    await clock.advance(3_600_000);
    expect(found.length).toBe(4);
  });
});
