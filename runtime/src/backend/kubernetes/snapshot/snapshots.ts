import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SnapshotBase } from "#api/snapshot-manifest.ts";
import { createChange } from "#core/change.ts";
import type { Clock } from "#core/clock.ts";
import { withDeadline } from "#core/deadline.ts";
import { createdAtMsOf } from "#core/kubernetes/created-at.ts";
import type { KubeClient, ObjectRef } from "#core/kubernetes/client.ts";
import type { Informer } from "#core/kubernetes/informer-port.ts";
import { isAlreadyExists, isNotFound } from "#core/kubernetes/kube-error.ts";
import { objectKey, refOfKey } from "#core/kubernetes/object-key.ts";
import { ROOTFS_SNAPSHOTS } from "#core/kubernetes/resources.ts";
import { snapshotState } from "#core/kubernetes/snapshot-state.ts";
import { ProblemError } from "#core/problem-error.ts";
import { pageOf } from "#core/snapshot/page-of.ts";
import { isFinished, type Snapshot } from "#core/snapshot/snapshot.ts";
import { turnsOf } from "#core/snapshot/turns-of.ts";
import type { Call, CreateSnapshot, ListSnapshots, Page, SnapshotBackend } from "#runtime/backend/port.ts";
import { writeCertainly } from "../certain-write.ts";
import { followState } from "../follow-state.ts";
import { problemOf } from "../problem-of.ts";
import { createWakeUps } from "../wake-ups.ts";
import { KnownWrites } from "./known-writes.ts";
import { removeRecord } from "./remove-record.ts";
import { snapshotNameOf, toSnapshot, toSnapshotResource } from "./to-snapshot.ts";

/** Index of the copy of the records. */
export const BY_SNAPSHOT_NAME = "snapshotName";
/** The mounter that removes what a record wrote does so within about a second. */
const REMOVAL_WAIT_MS = 5000;

export interface KubernetesSnapshotsDeps {
  readonly client: KubeClient;
  /** Of the one namespace, with the index `BY_SNAPSHOT_NAME`; run by the caller. */
  readonly records: Informer<RootfsSnapshotResource>;
  readonly namespace: string;
  readonly clock: Clock;
  /** Whether a sandbox that is to start from this snapshot is Pending. */
  isStartingFrom(snapshotName: string): boolean;
}

/** The port over RootfsSnapshot objects: the operator gives them to nodes, the mounters there do the work. */
export class KubernetesSnapshots implements SnapshotBackend {
  private readonly deps: KubernetesSnapshotsDeps;
  private readonly writes: KnownWrites;
  private readonly wakeUps = createWakeUps();
  private readonly change = createChange();
  /** By name, until a record of that name changes. */
  private readonly turns = new Map<string, ReadonlyMap<string, string>>();
  private lastCreatedAtMs = 0;

  constructor(deps: KubernetesSnapshotsDeps) {
    this.deps = deps;
    this.writes = new KnownWrites((name) => this.recordsOf(name));
    deps.records.onChange((key, now, before) => {
      this.writes.onRecord(now, before);
      this.wakeUps.wake(refOfKey(key).name);
      for (const record of [now, before]) if (record !== undefined) this.turns.delete(snapshotNameOf(record));
      // Whose turn it is may have changed for all that write the same name.
      if (before !== undefined && isOpen(before) && !(now !== undefined && isOpen(now)))
        this.wakeAll(snapshotNameOf(before));
      this.change.notify();
    });
  }

  async create(request: CreateSnapshot, call: Call): Promise<Snapshot> {
    const { clock, client, namespace, records } = this.deps;
    const known = records.get(this.keyOf(request.id));
    if (known !== undefined) return this.sameRequest(known, request);
    // Rising, so that the objects tell the order of what was asked for within a millisecond too.
    this.lastCreatedAtMs = Math.max(clock.now(), this.lastCreatedAtMs + 1);
    const resource = toSnapshotResource(request, { namespace, nowMs: this.lastCreatedAtMs });
    const act = async (signal: AbortSignal): Promise<RootfsSnapshotResource> => {
      try {
        return await client.create(ROOTFS_SNAPSHOTS, resource, { signal });
      } catch (error) {
        if (!isAlreadyExists(error)) throw error;
        // Somebody else's, or an own attempt whose answer was lost: the digest tells.
        return client.get(ROOTFS_SNAPSHOTS, resource.metadata, { signal });
      }
    };
    const made = await writeCertainly({ clock, signal: call.signal, mayRepeat: false, act });
    // Where this clock is behind the API server's, the next one must not seem older.
    this.lastCreatedAtMs = Math.max(this.lastCreatedAtMs, createdAtMsOf(made));
    records.upsert(made);
    return this.sameRequest(made, request);
  }

  async get(id: string, call: Call): Promise<Snapshot> {
    return this.present(await this.find(id, call));
  }

  async list(query: ListSnapshots): Promise<Page<Snapshot>> {
    const { records } = this.deps;
    if (!records.isSynced)
      throw new ProblemError("unavailable", "The gateway has not read the cluster's snapshots yet.");
    const { snapshotName, sandboxId } = query;
    const named = snapshotName === undefined ? [...records.values()] : this.recordsOf(snapshotName);
    const wanted = named.filter(
      (record) => isThere(record) && (sandboxId ?? record.spec.sandboxName) === record.spec.sandboxName,
    );
    return pageOf(
      wanted.map((record) => this.present(record)),
      query,
    );
  }

  async remove(id: string, call: Call): Promise<void> {
    const { clock, records } = this.deps;
    const known = records.get(this.keyOf(id));
    const act = (signal: AbortSignal) =>
      removeRecord({
        client: this.deps.client,
        ref: this.refOf(id),
        known,
        signal,
        check: (record) => this.checkUnused(record),
      });
    const removal = await writeCertainly({ clock, signal: call.signal, mayRepeat: true, act });
    if (removal.kind === "going") {
      records.upsert(removal.object);
      return this.untilGone(id, removal.object.metadata.uid, call);
    }
    const gone = removal.kind === "removed" ? removal.uid : known?.metadata.uid;
    if (gone !== undefined) records.drop(this.keyOf(id), gone);
  }

  async *watch(id: string, call: Call): AsyncIterable<Snapshot> {
    const { uid } = (await this.find(id, call)).metadata;
    const look = (): Snapshot | undefined => {
      const record = this.deps.records.get(this.keyOf(id));
      // Another one of its name is another record.
      return record === undefined || record.metadata.uid !== uid || !isThere(record) ? undefined : this.present(record);
    };
    const onWake = (listener: () => void) => this.wakeUps.on(id, listener);
    const isSame = (a: Snapshot, b: Snapshot): boolean => JSON.stringify(a) === JSON.stringify(b);
    yield* followState({ look, onWake, isSame }, call.signal);
  }

  /** The image whose changes the snapshot of this name holds, where that is certain. */
  baseOf(snapshotName: string): SnapshotBase | undefined {
    return this.writes.baseOf(snapshotName);
  }

  /** From the copy; what is not there may be newer than the copy. */
  private async find(id: string, call: Call): Promise<RootfsSnapshotResource> {
    const record = this.deps.records.get(this.keyOf(id)) ?? (await this.read(id, call));
    if (!isThere(record)) throw notFound(id);
    return record;
  }

  private async read(id: string, call: Call): Promise<RootfsSnapshotResource> {
    const { client, records } = this.deps;
    try {
      const found = await client.get(ROOTFS_SNAPSHOTS, this.refOf(id), { signal: call.signal });
      records.upsert(found);
      return found;
    } catch (error) {
      throw isNotFound(error) ? notFound(id) : problemOf(error, { mayRepeat: true });
    }
  }

  private present(record: RootfsSnapshotResource): Snapshot {
    const snapshot = toSnapshot(record);
    if (snapshot.phase !== "Pending" || snapshot.reason !== undefined) return snapshot;
    const ahead = this.turnsOf(snapshotNameOf(record)).get(snapshot.id);
    if (ahead === undefined) return snapshot;
    const message = `It waits for the snapshot "${ahead}", which writes the same name.`;
    return { ...snapshot, reason: "WaitingForTurn", message };
  }

  private sameRequest(existing: RootfsSnapshotResource, { id, requestDigest }: CreateSnapshot): Snapshot {
    const snapshot = this.present(existing);
    if (snapshot.requestDigest === requestDigest) return snapshot;
    if (snapshot.requestDigest === "")
      throw new ProblemError("conflict", `There is a snapshot record "${id}" already.`);
    throw new ProblemError(
      "idempotency-mismatch",
      "This idempotency key made a snapshot from another request; use a new key for a new request.",
    );
  }

  private checkUnused(record: RootfsSnapshotResource): void {
    const name = snapshotNameOf(record);
    if (!this.writes.isCurrent(record) || !this.deps.isStartingFrom(name)) return;
    throw new ProblemError(
      "snapshot-in-use",
      `The snapshot "${name}" cannot be removed now: a sandbox is being started from it.`,
    );
  }

  /** What it wrote goes by another hand; one that takes long goes on without us. */
  private async untilGone(id: string, uid: string | undefined, { signal }: Call): Promise<void> {
    const late = (): Error => new Error("the removal goes on in the background");
    const wait = async (bounded: AbortSignal): Promise<void> => {
      while (this.deps.records.get(this.keyOf(id))?.metadata.uid === uid) await this.change.wait(bounded);
    };
    await withDeadline({ clock: this.deps.clock, timeoutMs: REMOVAL_WAIT_MS, signal, late }, wait).catch(
      () => undefined,
    );
  }

  /** Who waits for whom among those that write this name. */
  private turnsOf(snapshotName: string): ReadonlyMap<string, string> {
    const known = this.turns.get(snapshotName);
    if (known !== undefined) return known;
    const turns = turnsOf(this.recordsOf(snapshotName).map(toSnapshot));
    // What is made of a record that the copy does not hold yet would never be forgotten.
    if (turns.size > 0) this.turns.set(snapshotName, turns);
    return turns;
  }

  private recordsOf(snapshotName: string): readonly RootfsSnapshotResource[] {
    return this.deps.records.byIndex(BY_SNAPSHOT_NAME, snapshotName);
  }

  private wakeAll(snapshotName: string): void {
    for (const { metadata } of this.recordsOf(snapshotName)) this.wakeUps.wake(metadata.name);
  }

  private refOf(name: string): ObjectRef & { readonly namespace: string } {
    return { namespace: this.deps.namespace, name };
  }

  private keyOf(name: string): string {
    return objectKey(this.refOf(name));
  }
}

/** A record that is only held until its data is removed is there for nobody. */
function isThere({ metadata }: RootfsSnapshotResource): boolean {
  return metadata.deletionTimestamp === undefined;
}

function isOpen(record: RootfsSnapshotResource): boolean {
  return !isFinished(snapshotState(record).phase);
}

function notFound(id: string): ProblemError {
  return new ProblemError("snapshot-not-found", `There is no snapshot record "${id}".`);
}
