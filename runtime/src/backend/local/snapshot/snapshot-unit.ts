import type { SnapshotProgress } from "#api/snapshot.ts";
import { backoffMs } from "#core/backoff.ts";
import { createChange, type Change } from "#core/change.ts";
import type { Log } from "#core/log.ts";
import { ProblemError } from "#core/problem-error.ts";
import {
  decideSnapshot,
  snapshotOutcomeOf,
  type SnapshotDecision,
  type SnapshotFacts,
} from "#core/snapshot/decide-snapshot.ts";
import { ARRIVAL_MS, PUBLISH_WINDOW_MS } from "#core/snapshot/publish-times.ts";
import type { Snapshot, SnapshotResult } from "#core/snapshot/snapshot.ts";
import { manifestKey } from "#core/snapshot/snapshot-keys.ts";
import type { Call } from "#runtime/backend/port.ts";
import type { Mounter, MounterError } from "../mounter.ts";
import { factsOf, snapshotOf, type SnapshotRecord } from "./snapshot-record.ts";
import { resultOf, takeSnapshot, TakeFault, type SnapshotSource, type TakeDeps } from "./take-snapshot.ts";

export interface SnapshotUnitDeps extends TakeDeps {
  readonly mounter: Pick<Mounter, "write" | "find" | "remove">;
  readonly log: Log;
  /** The container that is to be taken; throws TakeFault. */
  readonly sourceOf: (sandboxId: string, containerName: string | undefined) => SnapshotSource;
  /** The one that goes first; undefined = it is this one's turn. */
  readonly ahead: (unit: SnapshotUnit) => SnapshotUnit | undefined;
  /** Called when it is nobody's turn to wait for it any more. */
  readonly over: (unit: SnapshotUnit) => void;
  /** Lets few snapshots be taken at once. */
  readonly slot: <T>(work: () => Promise<T>, signal: AbortSignal) => Promise<T>;
  /** Writes the record; resolved once it survives a kill of this process. */
  readonly save: (record: SnapshotRecord) => Promise<void>;
  /** Called when nothing is left of the record. */
  readonly gone: (id: string) => Promise<void>;
  /** Notified when any ends: a name may mean something else from then on. */
  readonly change: Change;
}

const PAUSE = { firstMs: 200, mostMs: 10_000 };
/** A disk that could not take a record's end is tried again after so long. */
const SAVE_AGAIN_MS = 1_000;

/**
 * One snapshot: keeps its record, waits for its turn, takes it, and removes it. All changes go through
 * `update`, one after the other; what follows from the facts is decided by `core/snapshot`.
 */
export class SnapshotUnit {
  readonly change = createChange();
  private record: SnapshotRecord;
  private decision: SnapshotDecision;
  private progress: SnapshotProgress | undefined;
  private failure: SnapshotFacts["failure"];
  private behind: string | undefined;
  private isGone = false;
  private isReleased = false;
  private isSaved = true;
  /** Until when an earlier process may have sent a manifest that did not stand when this one looked. */
  private formerUntilMs: number | undefined;
  private queue: Promise<unknown> = Promise.resolve();
  private deadline = new AbortController();
  private running: Promise<void> = Promise.resolve();
  private removal: Promise<void> | undefined;
  private readonly deps: SnapshotUnitDeps;
  /** Aborted when taking it is void. */
  private readonly work = new AbortController();
  /** Aborted when this process gives it up. */
  private readonly life = new AbortController();

  constructor(record: SnapshotRecord, deps: SnapshotUnitDeps) {
    this.record = record;
    this.deps = { ...deps, log: deps.log.child({ snapshot_id: record.id }) };
    this.decision = decideSnapshot(this.facts(record), deps.clock.now());
  }

  get id(): string {
    return this.record.id;
  }

  /** Those of one name are taken one after the other. */
  get name(): string {
    return this.record.spec.snapshotName;
  }

  get isOpen(): boolean {
    return this.record.outcome === undefined && !this.isGone;
  }

  get gone(): boolean {
    return this.isGone;
  }

  view(): Snapshot {
    return snapshotOf(this.record, this.decision, this.progress);
  }

  /** Takes up a record, a new one or one that an earlier process left. */
  begin(): void {
    if (this.record.removeRequestedAtMs !== undefined) return void this.remove().catch(() => undefined);
    if (this.record.outcome === undefined) this.running = this.run();
    void this.update({});
  }

  /** Gives up what is not finished and removes the record with what it wrote; resolves when that is done. */
  async remove(): Promise<void> {
    this.removal ??= this.removeAll().catch((error: unknown) => {
      // Who asks again begins it again.
      this.removal = undefined;
      throw error;
    });
    await this.removal;
  }

  /** Stops timers and work; the record is taken up by the next process. */
  async release(): Promise<void> {
    this.isReleased = true;
    this.deadline.abort();
    const reason = new Error("the gateway stops");
    this.work.abort(reason);
    this.life.abort(reason);
    await this.running.catch(() => undefined);
    await this.queue;
  }

  private facts(record: SnapshotRecord): SnapshotFacts {
    const { failure, behind, progress } = this;
    return factsOf(record, {
      ...(failure === undefined ? {} : { failure }),
      ...(behind === undefined ? {} : { behind }),
      ...(progress === undefined ? {} : { progress }),
    });
  }

  /** Takes in new facts, decides, saves what must last, and acts on the decision. */
  private update(change: Partial<SnapshotRecord>, without: readonly (keyof SnapshotRecord)[] = []): Promise<void> {
    const next = this.queue.then(() => this.step(change, without));
    this.queue = next.catch((error: unknown) => this.deps.log.error("Snapshot record not saved", { error }));
    return next;
  }

  private async step(change: Partial<SnapshotRecord>, without: readonly (keyof SnapshotRecord)[]): Promise<void> {
    if (this.isGone || this.isReleased) return;
    const wasOpen = this.isOpen;
    const nowMs = this.deps.clock.now();
    const changed = Object.entries({ ...this.record, ...change }).filter(([name]) => !without.includes(name as never));
    const facts = Object.fromEntries(changed) as unknown as SnapshotRecord;
    const outcome = facts.outcome ?? snapshotOutcomeOf(decideSnapshot(this.facts(facts), nowMs), nowMs);
    await this.keep(outcome === undefined ? facts : { ...facts, outcome });
    const { phase } = this.decision;
    this.decision = decideSnapshot(this.facts(this.record), nowMs);
    const { reason, message } = this.decision;
    if (phase !== this.decision.phase)
      this.deps.log.info("Snapshot changed", { phase: this.decision.phase, reason, detail: message });
    if (outcome !== undefined) {
      this.progress = undefined;
      this.work.abort(new Error("the snapshot has ended"));
    }
    this.arm(nowMs);
    if (this.decision.remove === true && this.removal === undefined) await this.vanish();
    this.tell({ isEnd: wasOpen && !this.isOpen });
  }

  /** Nothing has happened that the disk does not know, save how it ended: that is told all the same, and saved later. */
  private async keep(record: SnapshotRecord): Promise<void> {
    if (this.isSaved && JSON.stringify(record) === JSON.stringify(this.record)) return;
    try {
      await this.deps.save(record);
      this.isSaved = true;
    } catch (cause) {
      if (record.outcome === undefined)
        throw new ProblemError("disk-full", "The snapshot could not be recorded on disk.", { cause });
      this.deps.log.error("Snapshot record not saved, trying again", { error: cause });
      this.isSaved = false;
    }
    this.record = record;
  }

  private arm(nowMs: number): void {
    this.deadline.abort();
    this.deadline = new AbortController();
    const { nextDeadlineMs = Infinity } = this.decision;
    const againMs = this.isSaved ? Infinity : nowMs + SAVE_AGAIN_MS;
    const atMs = Math.min(nextDeadlineMs, againMs);
    if (atMs === Infinity || this.isReleased) return;
    this.deps.clock
      .sleep(Math.max(atMs - nowMs, 0), this.deadline.signal)
      .then(() => this.update({}))
      .catch(() => undefined);
  }

  /** Others wait for ends alone: for their turn, or for what a name means. */
  private tell({ isEnd }: { readonly isEnd: boolean }): void {
    if (isEnd) this.deps.over(this);
    this.change.notify();
    if (isEnd) this.deps.change.notify();
  }

  private async vanish(): Promise<void> {
    await this.deps.gone(this.record.id);
    this.isGone = true;
    this.deadline.abort();
  }

  private async run(): Promise<void> {
    const { signal } = this.work;
    try {
      // An earlier process may have published it without hearing so.
      const former = this.record.publishUntilMs === undefined ? undefined : await this.settled();
      if (former === undefined && this.record.publishUntilMs !== undefined) {
        this.formerUntilMs = this.record.publishUntilMs;
        await this.forgetPublishing();
      }
      const result = former ?? (await this.taken(signal));
      await this.update({ result }, ["publishUntilMs"]);
    } catch (error) {
      if (signal.aborted) return;
      await this.fail(error).catch((fault: unknown) =>
        this.deps.log.error("Snapshot record not saved", { error: fault }),
      );
    }
  }

  private async taken(signal: AbortSignal): Promise<SnapshotResult> {
    await this.untilTurn(signal);
    return this.deps.slot(() => this.take(signal), signal);
  }

  private async take(signal: AbortSignal): Promise<SnapshotResult> {
    const { record, deps } = this;
    const source = deps.sourceOf(record.spec.sandboxId, record.spec.containerName);
    const { containerName } = source;
    await this.update({ startedAtMs: record.startedAtMs ?? deps.clock.now(), containerName });
    return takeSnapshot(
      deps,
      { record, source },
      {
        signal,
        log: deps.log,
        onProgress: (progress) => this.show(progress),
        beforePublish: () => this.allowPublish(),
        settle: (fault) => this.settle(fault),
      },
    );
  }

  /** From here on nothing but the store says how it ends, whatever becomes of this process. */
  private async allowPublish(): Promise<number> {
    const publishUntilMs = this.deps.clock.now() + PUBLISH_WINDOW_MS;
    await this.update({ publishUntilMs });
    this.work.signal.throwIfAborted();
    return publishUntilMs;
  }

  private async fail(error: unknown): Promise<void> {
    const late = await this.lateArrival();
    if (late !== undefined) return this.update({ result: late }, ["publishUntilMs"]);
    if (error instanceof TakeFault) {
      this.failure = { reason: error.reason, message: error.message };
    } else if (error instanceof ProblemError && error.slug === "disk-full") {
      this.failure = { reason: "DiskFull", message: error.message };
    } else {
      this.deps.log.error("Snapshot not taken", { error });
      const message = "The snapshot failed inside the gateway; its log has the reason.";
      this.failure = { reason: "DumpFailed", message };
    }
    await this.update({}, ["publishUntilMs"]);
  }

  /** What an earlier process had sent, and came while this one tried it anew. */
  private async lateArrival(): Promise<SnapshotResult | undefined> {
    const publishUntilMs = this.formerUntilMs;
    if (publishUntilMs === undefined || this.deps.clock.now() > publishUntilMs + ARRIVAL_MS) return undefined;
    // Held again, so that no clock ends it before.
    await this.update({ publishUntilMs });
    return this.settled({ isOver: true });
  }

  private async forgetPublishing(): Promise<void> {
    // Who wanted it gone meanwhile had to wait.
    if (this.removal !== undefined) this.work.abort(new Error("the snapshot is removed"));
    await this.update({}, ["publishUntilMs"]);
    this.work.signal.throwIfAborted();
  }

  /** What stands of an attempt that failed. When nothing does, nothing is on its way either: clocks count again. */
  private async settle({ code }: MounterError): Promise<SnapshotResult | undefined> {
    const found = code === "unsure" ? await this.settled({ isOver: true }) : undefined;
    // Past the deadline it fails by what it met, which says more than a clock.
    const isLate = this.deps.clock.now() >= this.record.createdAtMs + this.record.spec.timeoutSeconds * 1000;
    if (found === undefined && !isLate && this.record.publishUntilMs !== undefined) await this.forgetPublishing();
    return found;
  }

  /**
   * What this write has achieved, as the store says. Undefined = it does not stand: it may be begun
   * anew, or, when that `isOver` and nobody sends it any more, nothing that was sent can still arrive.
   */
  private async settled({ isOver = false } = {}): Promise<SnapshotResult | undefined> {
    const { namespace, mounter, clock, random, log } = this.deps;
    const { writeId, spec, createdAtMs, publishUntilMs = 0 } = this.record;
    const { signal } = this.work;
    // The clock that ends the next attempt must not run out while the manifest of this one is on its way.
    const mayRepeat = !isOver && publishUntilMs + ARRIVAL_MS < createdAtMs + spec.timeoutSeconds * 1000;
    const arrivedMs = (isOver ? Math.min(publishUntilMs, clock.now()) : publishUntilMs) + ARRIVAL_MS;
    for (let attempt = 0; ; attempt += 1) {
      try {
        const found = await mounter.find({ namespace, name: spec.snapshotName }, { signal, log });
        if (found.kind === "manifest" && found.manifest.writeId === writeId) {
          const { manifest } = found;
          return resultOf({ key: manifestKey(namespace, spec.snapshotName), manifest });
        }
        if (mayRepeat || clock.now() > arrivedMs) break;
      } catch (error) {
        signal.throwIfAborted();
        log.warn("It is not known yet whether the snapshot stands", { error });
      }
      await clock.sleep(backoffMs(attempt, PAUSE, random), signal);
    }
    return undefined;
  }

  private async untilTurn(signal: AbortSignal): Promise<void> {
    for (;;) {
      const ahead = this.deps.ahead(this);
      if (ahead?.id !== this.behind) {
        this.behind = ahead?.id;
        await this.update({});
      } else if (ahead === undefined) return;
      else await ahead.change.wait(signal);
      signal.throwIfAborted();
    }
  }

  private show(progress: SnapshotProgress): void {
    if (this.record.outcome !== undefined) return;
    this.progress = progress;
    this.tell({ isEnd: false });
  }

  private async removeAll(): Promise<void> {
    const { log, clock, random, namespace, mounter } = this.deps;
    await this.update({ removeRequestedAtMs: this.record.removeRequestedAtMs ?? clock.now() });
    // What may be on its way is waited for: removed before it arrives, it would stay for good.
    if (this.record.publishUntilMs === undefined) this.work.abort(new Error("the snapshot is removed"));
    await this.running;
    const { result, writeId, spec } = this.record;
    // Where it is known what stands, that is what goes.
    const publishUntilMs = this.record.publishUntilMs ?? (result === undefined ? this.formerUntilMs : undefined);
    const call: Call = { signal: this.life.signal, log };
    for (let attempt = 0; result !== undefined || publishUntilMs !== undefined; attempt += 1) {
      try {
        await mounter.remove({ namespace, name: spec.snapshotName, writeId }, call);
        if (publishUntilMs === undefined || clock.now() > publishUntilMs + ARRIVAL_MS) break;
      } catch (error) {
        this.life.signal.throwIfAborted();
        log.warn("What a snapshot wrote is not removed yet", { error });
      }
      await clock.sleep(backoffMs(attempt, PAUSE, random), this.life.signal);
    }
    await this.vanish();
    this.tell({ isEnd: true });
  }
}
