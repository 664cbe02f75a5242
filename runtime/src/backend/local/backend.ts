import type { Clock } from "#core/clock.ts";
import type { Ids } from "#core/ids.ts";
import type { Log } from "#core/log.ts";
import { ProblemError } from "#core/problem-error.ts";
import { hasEnded, type Sandbox, type SandboxPhase } from "#core/sandbox.ts";
import type { AgentFetch, Call, CreateSandbox, ListSandboxes, Page, SandboxBackend } from "#runtime/backend/port.ts";
import type { Machine } from "./machine.ts";
import type { Mounter } from "./mounter.ts";
import { RECORD_VERSION, type SandboxRecord } from "./record.ts";
import { SandboxUnit, type UnitDeps } from "./sandbox-unit.ts";
import { LocalSnapshots, type SnapshotRecordStore } from "./snapshot/local-snapshots.ts";
import { createRestores } from "./snapshot/restores.ts";
import { collectPeriodically } from "./snapshot/collect-periodically.ts";
import { TakeFault, type SnapshotSource } from "./snapshot/take-snapshot.ts";
import { createSlots } from "#runtime/slots.ts";

/** Durable records, one a sandbox; each write replaces the whole record at once. */
export interface RecordStore {
  load(): Promise<readonly SandboxRecord[]>;
  save(record: SandboxRecord): Promise<void>;
  remove(id: string): Promise<void>;
}

export interface LocalBackendDeps {
  readonly machine: Machine;
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly maxSandboxes: number;
  readonly startConcurrency: number;
  readonly retentionMs: number;
  readonly ids: Ids;
  readonly random: () => number;
  readonly mounter: Mounter;
  readonly snapshotRecords: SnapshotRecordStore;
  /** Whose all snapshots are in the store. */
  readonly namespace: string;
  /** Most bytes of a snapshot, unpacked. */
  readonly mostTarBytes: number;
  /** Called last: whoever comes next may take up all that is left. */
  readonly closed?: () => Promise<void>;
}

/** The port on one machine. Takes up what an earlier process left before it answers. */
export async function createBackend(deps: LocalBackendDeps): Promise<SandboxBackend> {
  const backend = new LocalBackend(deps);
  await backend.recover();
  return backend;
}

class LocalBackend implements SandboxBackend {
  readonly snapshots: LocalSnapshots;
  private readonly units = new Map<string, SandboxUnit>();
  private readonly deps: LocalBackendDeps;
  private readonly unitDeps: UnitDeps;
  private readonly life = new AbortController();

  constructor(deps: LocalBackendDeps) {
    this.deps = deps;
    this.snapshots = new LocalSnapshots({
      ...deps,
      records: deps.snapshotRecords,
      sourceOf: (id, container) => this.sourceOf(id, container),
      isHeld: (name) => this.isHeld(name),
    });
    this.unitDeps = {
      machine: deps.machine,
      clock: deps.clock,
      log: deps.log,
      retentionMs: deps.retentionMs,
      save: (record) => deps.records.save(record),
      gone: async (id) => {
        await deps.records.remove(id);
        this.units.delete(id);
      },
      startSlot: createSlots(deps.startConcurrency),
      restores: createRestores({ ...deps, change: this.snapshots.change }),
      takeLast: (request, call) => this.snapshots.takeLast(request, call),
    };
  }

  /** Finds running sandboxes, finishes half-done creates and removals, and removes boots that nobody owns. */
  async recover(): Promise<void> {
    // Before any sandbox goes on: one that is at its end asks for its snapshot.
    const takeUpSnapshots = await this.snapshots.load();
    const [records, boots] = await Promise.all([this.deps.records.load(), this.deps.machine.livingBoots()]);
    const owned = new Set(records.map((record) => record.bootId));
    // Before any sandbox starts again: what it makes must not be taken for left-overs.
    await this.deps.machine.adopt(
      [...boots.values()].filter((boot) => !owned.has(boot.id)),
      owned,
    );
    for (const record of records.toSorted((a, b) => a.createdAtMs - b.createdAtMs)) {
      const unit = new SandboxUnit(record, this.unitDeps);
      this.units.set(record.id, unit);
      // Nobody ever learnt of an unanswered sandbox, so nobody would remove it.
      if (record.provisional) void unit.remove();
      else unit.resume(record.bootId === undefined ? undefined : boots.get(record.bootId));
    }
    takeUpSnapshots();
    this.deps.machine.refillPool();
    this.tryStore();
    collectPeriodically({ ...this.deps, signal: this.life.signal, inUse: () => this.layersInUse() });
  }

  /** Whoever named the store learns at once that it cannot be used, not by the first snapshot that fails. */
  private tryStore(): void {
    const { mounter, namespace, log } = this.deps;
    const { signal } = this.life;
    mounter.find({ namespace, name: "any" }, { signal, log }).catch((error: unknown) => {
      if (!signal.aborted) log.error("The store of snapshots cannot be used", { error });
    });
  }

  async create(request: CreateSandbox, call: Call): Promise<Sandbox> {
    call.signal.throwIfAborted();
    const existing = this.units.get(request.id)?.sandbox;
    if (existing !== undefined) return sameRequest(existing, request);
    this.checkCapacity();
    const record: SandboxRecord = {
      version: RECORD_VERSION,
      id: request.id,
      spec: request.spec,
      requestDigest: request.requestDigest,
      createdAtMs: this.deps.clock.now(),
      exits: {},
      provisional: request.provisional ?? false,
    };
    const unit = new SandboxUnit(record, this.unitDeps);
    // Taken before the write, so that a second create with this id meets the first.
    this.units.set(record.id, unit);
    try {
      await this.deps.records.save(record);
    } catch (error) {
      this.units.delete(record.id);
      throw new ProblemError("disk-full", "The sandbox could not be recorded on disk.", { cause: error });
    }
    unit.begin();
    return this.present(record.id);
  }

  async confirm(id: string): Promise<void> {
    await this.units.get(id)?.confirm();
  }

  async get(id: string): Promise<Sandbox> {
    return this.present(id);
  }

  async list({ limit, after }: ListSandboxes): Promise<Page<Sandbox>> {
    const all = [...this.units.values()].flatMap((unit) => unit.sandbox ?? []);
    const start = after === undefined ? 0 : all.findIndex((sandbox) => sandbox.id === after) + 1;
    const items = all.slice(start, limit === undefined ? undefined : start + limit);
    const last = items.at(-1);
    return start + items.length < all.length && last !== undefined ? { items, next: last.id } : { items };
  }

  *phases(): Iterable<SandboxPhase> {
    for (const { sandbox } of this.units.values()) if (sandbox !== undefined) yield sandbox.phase;
  }

  async remove(id: string): Promise<void> {
    await this.units.get(id)?.remove();
  }

  async *watch(id: string, call: Call): AsyncIterable<Sandbox> {
    let sandbox: Sandbox | undefined = this.present(id);
    const unit = this.units.get(id);
    if (unit === undefined) return;
    let wake = Promise.withResolvers<void>();
    const stop = unit.onChange(() => wake.resolve());
    const onAbort = (): void => wake.resolve();
    call.signal.addEventListener("abort", onAbort, { once: true });
    try {
      while (sandbox !== undefined && !call.signal.aborted) {
        yield sandbox;
        const seen: Sandbox = sandbox;
        while (!call.signal.aborted && unit.sandbox !== undefined && sameState(unit.sandbox, seen)) {
          await wake.promise;
          wake = Promise.withResolvers<void>();
        }
        sandbox = unit.sandbox;
      }
    } finally {
      stop();
      call.signal.removeEventListener("abort", onAbort);
    }
  }

  async agent(id: string): Promise<AgentFetch> {
    const sandbox = this.present(id);
    const boot = this.units.get(id)?.bootOfRunning;
    if (boot !== undefined) return this.deps.machine.agentFetch(boot);
    const why = sandbox.message ?? `it is ${sandbox.phase}`;
    if (hasEnded(sandbox.phase)) {
      throw new ProblemError("sandbox-ended", `The sandbox "${id}" has ended (${sandbox.reason}): ${why}`);
    }
    throw new ProblemError("sandbox-not-ready", `The sandbox "${id}" is ${sandbox.phase}, not Running.`);
  }

  async ready(): Promise<void> {}

  async close(): Promise<void> {
    this.life.abort(new Error("the gateway stops"));
    await Promise.all([...this.units.values()].map((unit) => unit.release()));
    await this.snapshots.close();
    await this.deps.mounter.close();
    await this.deps.machine.close({ forGood: this.units.size === 0 });
    await this.deps.closed?.();
  }

  private sourceOf(id: string, containerName: string | undefined): SnapshotSource {
    const unit = this.units.get(id);
    if (unit === undefined) throw new TakeFault("SandboxNotFound", `There is no sandbox "${id}".`);
    return unit.source(containerName);
  }

  /** Whether a sandbox that is to start from this snapshot is Pending. */
  private isHeld(snapshotName: string): boolean {
    return [...this.units.values()].some(
      ({ sandbox }) =>
        sandbox?.phase === "Pending" &&
        sandbox.spec.containers.some((container) => container.rootfsSnapshotName === snapshotName),
    );
  }

  /** Keys of the layers that containers stand on: their next snapshots will name them. */
  private layersInUse(): readonly string[] {
    const keys = [...this.units.values()].flatMap((unit) => unit.layersInUse());
    return [...new Set(keys)];
  }

  private present(id: string): Sandbox {
    const sandbox = this.units.get(id)?.sandbox;
    if (sandbox === undefined) throw new ProblemError("sandbox-not-found", `There is no sandbox "${id}".`);
    return sandbox;
  }

  private checkCapacity(): void {
    const alive = [...this.units.values()].filter(
      (unit) => unit.sandbox !== undefined && !hasEnded(unit.sandbox.phase),
    );
    if (alive.length < this.deps.maxSandboxes) return;
    throw new ProblemError(
      "capacity-exhausted",
      `This machine runs ${alive.length} sandboxes, as many as it may; delete one and try again.`,
      { retryAfterSeconds: 5 },
    );
  }
}

function sameRequest(existing: Sandbox, request: CreateSandbox): Sandbox {
  if (existing.requestDigest === request.requestDigest) return existing;
  throw new ProblemError(
    "idempotency-mismatch",
    "This idempotency key made a sandbox from another request; use a new key for a new request.",
  );
}

function sameState(a: Sandbox, b: Sandbox): boolean {
  return a.phase === b.phase && a.reason === b.reason && a.message === b.message;
}
