import { createChange, type Change } from "#core/change.ts";
import { withDeadline } from "#core/deadline.ts";
import type { Ids } from "#core/ids.ts";
import { ProblemError } from "#core/problem-error.ts";
import { pageOf } from "#core/snapshot/page-of.ts";
import { isFinished, type Snapshot } from "#core/snapshot/snapshot.ts";
import { watchState } from "#core/watch-state.ts";
import type { Call, CreateSnapshot, ListSnapshots, Page, SnapshotBackend } from "#runtime/backend/port.ts";
import { createSlots } from "#runtime/slots.ts";
import type { Mounter } from "../mounter.ts";
import { orAborted } from "#runtime/or-aborted.ts";
import { newSnapshotRecord, type SnapshotRecord } from "./snapshot-record.ts";
import { SnapshotUnit, type SnapshotUnitDeps } from "./snapshot-unit.ts";

/** Durable records, one a snapshot; each write replaces the whole record at once. */
export interface SnapshotRecordStore {
  load(): Promise<readonly SnapshotRecord[]>;
  save(record: SnapshotRecord): Promise<void>;
  remove(id: string): Promise<void>;
}

export interface LocalSnapshotsDeps extends Pick<
  SnapshotUnitDeps,
  "machine" | "clock" | "namespace" | "mostTarBytes" | "log" | "random" | "sourceOf"
> {
  readonly mounter: Pick<Mounter, "write" | "find" | "remove">;
  readonly records: SnapshotRecordStore;
  readonly ids: Ids;
  /** Whether a sandbox that is to start from this snapshot is Pending. */
  readonly isHeld: (snapshotName: string) => boolean;
  /** Records that are kept at once. @default 10,000 */
  readonly mostRecords?: number;
}

/** Snapshots that are taken at once: each packs on a processor of its own. */
const AT_ONCE = 4;
/** Each record is a file, and all are read at each start. */
const MOST_RECORDS = 10_000;
/** Longest wait of a removal for the store; it goes on afterwards. */
const REMOVE_WAIT_MS = 10_000;

/** The records of snapshots on one machine, and what becomes of them. */
export class LocalSnapshots implements SnapshotBackend {
  /** Notified when any ends: a name may mean something else from then on. */
  readonly change: Change = createChange();
  private readonly units = new Map<string, SnapshotUnit>();
  /** Those that are not finished, by the name that they write, in the order of their creation. */
  private readonly queues = new Map<string, Set<SnapshotUnit>>();
  private readonly deps: LocalSnapshotsDeps;
  private readonly unitDeps: SnapshotUnitDeps;
  private lastCreatedAtMs = 0;

  constructor(deps: LocalSnapshotsDeps) {
    this.deps = deps;
    this.unitDeps = {
      ...deps,
      change: this.change,
      slot: createSlots(AT_ONCE),
      ahead: (unit) => this.ahead(unit),
      over: (unit) => this.leave(unit),
      save: (record) => deps.records.save(record),
      gone: async (id) => {
        await deps.records.remove(id);
        this.units.delete(id);
      },
    };
  }

  /**
   * Reads what an earlier process left, before anybody can ask for a record. The answer takes all of it up:
   * to be called when the sandboxes are known.
   */
  async load(): Promise<() => void> {
    const records = (await this.deps.records.load()).toSorted((a, b) => a.createdAtMs - b.createdAtMs);
    const left = records.map((record) => {
      this.lastCreatedAtMs = Math.max(this.lastCreatedAtMs, record.createdAtMs);
      return this.add(record);
    });
    return () => left.forEach((unit) => unit.begin());
  }

  async create(request: CreateSnapshot, call: Call): Promise<Snapshot> {
    call.signal.throwIfAborted();
    const known = this.units.get(request.id)?.view();
    if (known !== undefined) return sameRequest(known, request);
    this.checkCapacity();
    return this.begin(request);
  }

  private async begin(request: CreateSnapshot): Promise<Snapshot> {
    // Rising, so that the times tell the order of what was asked for within a millisecond too.
    this.lastCreatedAtMs = Math.max(this.deps.clock.now(), this.lastCreatedAtMs + 1);
    const record = newSnapshotRecord({
      ...request,
      createdAtMs: this.lastCreatedAtMs,
      writeId: this.deps.ids.sandboxId(),
    });
    // Taken before the write, so that a second create with this id meets the first.
    const unit = this.add(record);
    try {
      await this.deps.records.save(record);
    } catch (error) {
      this.units.delete(record.id);
      this.leave(unit);
      unit.change.notify();
      throw new ProblemError("disk-full", "The snapshot could not be recorded on disk.", { cause: error });
    }
    const first = unit.view();
    unit.begin();
    return first;
  }

  async get(id: string): Promise<Snapshot> {
    return this.find(id).view();
  }

  async list(query: ListSnapshots): Promise<Page<Snapshot>> {
    return pageOf(
      this.views().filter((snapshot) => isWanted(snapshot, query)),
      query,
    );
  }

  async remove(id: string, call: Call): Promise<void> {
    const unit = this.units.get(id);
    if (unit === undefined) return;
    await this.checkUse(unit.view(), call);
    const removal = unit.remove();
    removal.catch(() => undefined);
    const { clock } = this.deps;
    const late = (): Error =>
      new ProblemError("unavailable", `What the snapshot "${id}" wrote is not removed yet; it will be.`, {
        retryAfterSeconds: 5,
      });
    await withDeadline({ clock, timeoutMs: REMOVE_WAIT_MS, signal: call.signal, late }, (signal) =>
      orAborted(removal, signal),
    );
  }

  watch(id: string, { signal }: Call): AsyncIterable<Snapshot> {
    return watchState(() => this.find(id), signal);
  }

  /** Takes one that belongs to somebody's end, and resolves with its own end, or its last state when it was removed before. */
  async takeLast(request: CreateSnapshot, call: Call): Promise<Snapshot> {
    const known = this.units.get(request.id);
    // A sandbox of the same id had one before.
    if (known !== undefined && known.view().requestDigest !== request.requestDigest && isFinished(known.view().phase)) {
      await this.deps.records.remove(request.id);
      await known.release();
      this.units.delete(request.id);
    }
    const running = this.units.get(request.id)?.view();
    // What a sandbox holds is not lost for the sake of a bound on records.
    let last = running === undefined ? await this.begin(request) : sameRequest(running, request);
    for await (const snapshot of this.watch(request.id, call)) {
      last = snapshot;
      if (isFinished(last.phase)) break;
    }
    call.signal.throwIfAborted();
    return last;
  }

  async close(): Promise<void> {
    await Promise.all([...this.units.values()].map((unit) => unit.release()));
  }

  private checkCapacity(): void {
    const { size } = this.units;
    if (size < (this.deps.mostRecords ?? MOST_RECORDS)) return;
    throw new ProblemError(
      "capacity-exhausted",
      `This machine keeps ${size} records of snapshots, as many as it may; delete some, or give them a shorter ttlSecondsAfterFinished.`,
      { retryAfterSeconds: 5 },
    );
  }

  private add(record: SnapshotRecord): SnapshotUnit {
    const unit = new SnapshotUnit(record, this.unitDeps);
    this.units.set(record.id, unit);
    if (!unit.isOpen) return unit;
    const queue = this.queues.get(unit.name) ?? new Set();
    this.queues.set(unit.name, queue.add(unit));
    return unit;
  }

  private leave(unit: SnapshotUnit): void {
    const queue = this.queues.get(unit.name);
    queue?.delete(unit);
    if (queue?.size === 0) this.queues.delete(unit.name);
  }

  /** The last one asked for is what the name means in the end, so each waits for the one before. */
  private ahead(unit: SnapshotUnit): SnapshotUnit | undefined {
    let before: SnapshotUnit | undefined;
    for (const each of this.queues.get(unit.name) ?? []) {
      if (each === unit) break;
      before = each;
    }
    return before;
  }

  private views(): Snapshot[] {
    return [...this.units.values()].map((unit) => unit.view());
  }

  private find(id: string): SnapshotUnit {
    const unit = this.units.get(id);
    if (unit === undefined) throw new ProblemError("snapshot-not-found", `There is no snapshot record "${id}".`);
    return unit;
  }

  /** What a start is about to read is not taken away; an older write of the name is nobody's ground. */
  private async checkUse({ spec, result }: Snapshot, call: Call): Promise<void> {
    const { snapshotName: name } = spec;
    if (result === undefined || !this.deps.isHeld(name)) return;
    const found = await this.deps.mounter.find({ namespace: this.deps.namespace, name }, call).catch((cause: Error) => {
      call.signal.throwIfAborted();
      throw new ProblemError("unavailable", `The snapshot "${name}" cannot be removed now: ${cause.message}`, {
        cause,
        retryAfterSeconds: 5,
      });
    });
    if (found.kind !== "manifest" || found.manifest.writeId !== result.writeId || !this.deps.isHeld(name)) return;
    throw new ProblemError(
      "snapshot-in-use",
      `The snapshot "${name}" cannot be removed now: a sandbox is being started from it.`,
    );
  }
}

function sameRequest(existing: Snapshot, request: CreateSnapshot): Snapshot {
  if (existing.requestDigest === request.requestDigest) return existing;
  throw new ProblemError(
    "idempotency-mismatch",
    "This idempotency key made a snapshot from another request; use a new key for a new request.",
  );
}

function isWanted({ spec }: Snapshot, { snapshotName, sandboxId }: ListSnapshots): boolean {
  return (
    (snapshotName === undefined || spec.snapshotName === snapshotName) &&
    (sandboxId === undefined || spec.sandboxId === sandboxId)
  );
}
