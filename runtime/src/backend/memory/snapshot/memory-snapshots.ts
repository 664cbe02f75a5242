import { createChange } from "#core/change.ts";
import { ProblemError } from "#core/problem-error.ts";
import { pageOf } from "#core/snapshot/page-of.ts";
import type { Snapshot } from "#core/snapshot/snapshot.ts";
import { turnOf } from "#core/snapshot/turn-of.ts";
import { watchState } from "#core/watch-state.ts";
import type { CreateSnapshot, ListSnapshots, SnapshotBackend } from "../../port.ts";
import type { MemoryWorld } from "../memory-world.ts";
import { takeSnapshot, type MemoryRecord, type RecordDeps } from "./memory-record.ts";
import type { SnapshotShelf } from "./snapshot-shelf.ts";

export interface MemorySnapshotsDeps extends Pick<RecordDeps, "freeze"> {
  readonly world: MemoryWorld;
  readonly shelf: SnapshotShelf;
  /** Whether a sandbox that is to start from this snapshot is Pending. */
  isHeld(snapshotName: string): boolean;
}

export interface MemorySnapshots extends SnapshotBackend {
  /** Takes one and resolves with its end, or with its last state when it was removed before. */
  take(request: CreateSnapshot): Promise<Snapshot>;
  halt(): void;
}

/** Snapshots of simulated containers: copies of their files. */
export function createMemorySnapshots({ world, shelf, freeze, isHeld }: MemorySnapshotsDeps): MemorySnapshots {
  const records = new Map<string, MemoryRecord>();
  const change = createChange();
  let lastCreatedAtMs = 0;
  const views = (): Snapshot[] => [...records.values()].map((record) => record.view());

  const find = (id: string): MemoryRecord => {
    const record = records.get(id);
    if (record === undefined) throw new ProblemError("snapshot-not-found", `There is no snapshot record "${id}".`);
    return record;
  };

  function begin(request: CreateSnapshot): MemoryRecord {
    const known = records.get(request.id);
    if (known !== undefined && known.view().requestDigest !== request.requestDigest) {
      throw new ProblemError(
        "idempotency-mismatch",
        "This idempotency key made a snapshot from another request; use a new key for a new request.",
      );
    }
    if (known !== undefined) return known;
    // Rising, so that the times tell the order of what was asked for within a millisecond too.
    lastCreatedAtMs = Math.max(world.clock.now(), lastCreatedAtMs + 1);
    const record = takeSnapshot(request, {
      createdAtMs: lastCreatedAtMs,
      world,
      shelf,
      freeze,
      change,
      turnOf: (of) => turnOf(of, views()),
      onGone: () => records.delete(request.id),
    });
    records.set(request.id, record);
    return record;
  }

  function remove(id: string): void {
    const record = records.get(id);
    if (record === undefined) return;
    const { spec, result } = record.view();
    const isCurrent = result !== undefined && shelf.find(spec.snapshotName)?.writeId === result.writeId;
    if (isCurrent && isHeld(spec.snapshotName)) {
      throw new ProblemError(
        "snapshot-in-use",
        `The snapshot "${spec.snapshotName}" cannot be removed now: a sandbox is being started from it.`,
      );
    }
    record.remove();
    if (isCurrent) shelf.remove(spec.snapshotName);
  }

  return {
    create: async (request) => begin(request).view(),
    get: async (id) => find(id).view(),
    list: async (query) =>
      pageOf(
        views().filter((snapshot) => isWanted(snapshot, query)),
        query,
      ),
    remove: async (id) => remove(id),
    watch: (id, { signal }) => watchState(() => find(id), signal),
    async take(request) {
      const record = begin(request);
      const never = new AbortController().signal;
      let last = record.view();
      for await (const snapshot of watchState(() => record, never)) {
        last = snapshot;
        if (last.completedAtMs !== undefined) break;
      }
      return last;
    },
    halt() {
      for (const record of records.values()) record.halt();
    },
  };
}

function isWanted({ spec }: Snapshot, { snapshotName, sandboxId }: ListSnapshots): boolean {
  return (
    (snapshotName === undefined || spec.snapshotName === snapshotName) &&
    (sandboxId === undefined || spec.sandboxId === sandboxId)
  );
}
