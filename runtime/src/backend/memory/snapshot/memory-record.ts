import type { SnapshotProgress } from "#api/snapshot.ts";
import { createChange, type Change } from "#core/change.ts";
import { decideSnapshot, expiryOf, snapshotOutcomeOf, type SnapshotFacts } from "#core/snapshot/decide-snapshot.ts";
import type { Snapshot, SnapshotReason, SnapshotResult } from "#core/snapshot/snapshot.ts";
import { manifestKey } from "#core/snapshot/snapshot-keys.ts";
import type { CreateSnapshot } from "../../port.ts";
import type { FileTree } from "../agent/file-store.ts";
import type { MemoryWorld } from "../memory-world.ts";
import type { SnapshotShelf } from "./snapshot-shelf.ts";

/** Namespace of all snapshots of this backend. */
const NAMESPACE = "memory";

/** What of a container goes into a snapshot, or why there is none. */
export type Frozen =
  | { readonly kind: "container"; readonly name: string; readonly image: string; readonly tree: FileTree }
  | { readonly kind: "fault"; readonly reason: SnapshotReason; readonly message: string };

export interface RecordDeps {
  readonly world: MemoryWorld;
  readonly shelf: SnapshotShelf;
  readonly createdAtMs: number;
  freeze(sandboxId: string, containerName: string | undefined): Frozen;
  /** Id of the record that goes first. */
  turnOf(record: Snapshot): string | undefined;
  /** Notified when anything of any record changes. */
  readonly change: Change;
  onGone(): void;
}

/** One simulated snapshot: its facts, and the state that they decide. */
export interface MemoryRecord {
  readonly change: Change;
  readonly gone: boolean;
  view(): Snapshot;
  /** Gives up what is not finished and removes the record. */
  remove(): void;
  /** Stops its timers without a trace in its state. */
  halt(): void;
}

export function takeSnapshot(request: CreateSnapshot, deps: RecordDeps): MemoryRecord {
  const { world, shelf } = deps;
  const { clock } = world;
  const { id, spec, requestDigest } = request;
  const change = createChange();
  const life = new AbortController();
  let facts: SnapshotFacts = { spec, createdAtMs: deps.createdAtMs };
  let decision = decideSnapshot(facts, clock.now());
  let deadline = new AbortController();
  let containerName = spec.containerName;
  let progress: SnapshotProgress | undefined;
  let result: SnapshotResult | undefined;
  let gone = false;

  const observe = (more: Partial<SnapshotFacts>): void => {
    facts = { ...facts, ...more };
    settle();
  };

  function settle(): void {
    if (gone) return;
    const nowMs = clock.now();
    decision = decideSnapshot(progress === undefined ? facts : { ...facts, progress }, nowMs);
    const outcome = facts.outcome ?? snapshotOutcomeOf(decision, nowMs);
    if (outcome !== undefined) {
      facts = { ...facts, outcome };
      progress = undefined;
      life.abort();
    }
    if (decision.remove === true) return remove();
    deadline.abort();
    deadline = new AbortController();
    const atMs = decision.nextDeadlineMs;
    if (atMs !== undefined) clock.sleep(Math.max(atMs - nowMs, 0), deadline.signal).then(settle, () => undefined);
    tell();
  }

  function tell(): void {
    change.notify();
    deps.change.notify();
  }

  function remove(): void {
    halt();
    gone = true;
    deps.onGone();
    tell();
  }

  function halt(): void {
    life.abort();
    deadline.abort();
  }

  function show(phase: SnapshotProgress["phase"], bytesDone: number, bytesTotal: number): void {
    progress = { phase, bytesDone, bytesTotal };
    tell();
  }

  async function untilTurn(): Promise<void> {
    for (let behind = deps.turnOf(view()); behind !== undefined; behind = deps.turnOf(view())) {
      if (facts.behind !== behind) observe({ behind });
      await deps.change.wait(life.signal);
    }
    const { behind: _, ...rest } = facts;
    facts = rest;
  }

  async function run(): Promise<void> {
    // The creator's answer comes first, as it does where taking one takes time.
    await clock.sleep(0, life.signal);
    await untilTurn();
    const frozen = deps.freeze(spec.sandboxId, spec.containerName);
    if (frozen.kind === "fault") return observe({ failure: frozen });
    const { bytes } = frozen.tree;
    containerName = frozen.name;
    observe({ startedAtMs: clock.now() });
    show("Dumping", 0, bytes);
    await clock.sleep(world.snapshotMs(bytes) / 2, life.signal);
    show("Uploading", 0, bytes);
    await clock.sleep(world.snapshotMs(bytes) / 2, life.signal);
    const base = { image: frozen.image, digest: await world.imageDigest(frozen.image) };
    life.signal.throwIfAborted();
    shelf.put(spec.snapshotName, { writeId: id, base, tree: frozen.tree });
    const snapshotKey = manifestKey(NAMESPACE, spec.snapshotName);
    result = { containerName: frozen.name, writeId: id, snapshotKey, bytes, base, warnings: [] };
    observe({ isWritten: true });
  }

  function view(): Snapshot {
    const { phase, reason, message } = decision;
    const { outcome, startedAtMs, createdAtMs } = facts;
    return {
      id,
      spec: containerName === undefined ? spec : { ...spec, containerName },
      phase,
      ...(reason === undefined ? {} : { reason }),
      ...(message === undefined ? {} : { message }),
      createdAtMs,
      ...(startedAtMs === undefined ? {} : { startedAtMs }),
      ...(outcome === undefined ? {} : { completedAtMs: outcome.atMs, expiresAtMs: expiryOf(spec, outcome.atMs) }),
      ...(progress === undefined ? {} : { progress }),
      ...(result === undefined ? {} : { result }),
      requestDigest,
    };
  }

  settle();
  run().catch(() => undefined);

  return {
    change,
    get gone() {
      return gone;
    },
    view,
    remove,
    halt,
  };
}
