import { MAX_TIMER_MS, type Clock } from "#core/clock.ts";
import { decide, outcomeOf, type Decision, type Observed } from "#core/lifecycle.ts";
import type { Log } from "#core/log.ts";
import type { Sandbox } from "#core/sandbox.ts";
import type { Call } from "#runtime/backend/port.ts";
import { StartError, type Boot, type Machine } from "./machine.ts";
import { sandboxOf, type SandboxRecord } from "./record.ts";
import { LastSnapshot, type TakeLast } from "./snapshot/last-snapshot.ts";
import type { Restores } from "./snapshot/restores.ts";
import { sourceOf } from "./snapshot/source-of.ts";
import type { SnapshotSource } from "./snapshot/take-snapshot.ts";

export interface UnitDeps {
  readonly machine: Machine;
  readonly clock: Clock;
  readonly log: Log;
  readonly retentionMs: number;
  /** Writes the record; resolved once it survives a kill of this process. */
  readonly save: (record: SandboxRecord) => Promise<void>;
  /** Called when record and machine hold nothing of the sandbox any more. */
  readonly gone: (id: string) => Promise<void>;
  readonly restores: Restores;
  readonly takeLast: TakeLast;
  /** Lets few sandboxes start at once. */
  readonly startSlot: <T>(work: () => Promise<T>, signal: AbortSignal) => Promise<T>;
}

/**
 * One sandbox: keeps its record, starts it, watches its containers, ends and removes it.
 * All changes go through `update`, one after the other; what follows from the facts is
 * decided by `core/lifecycle.ts`.
 */
export class SandboxUnit {
  private record: SandboxRecord;
  private boot: Boot | undefined;
  private agentReady = false;
  private failure: Observed["failure"];
  private waitsFor: string | undefined;
  private readonly last: LastSnapshot;
  private decision: Decision;
  private readonly deps: UnitDeps;
  /** Aborted when the work of starting and watching is void. */
  private readonly work = new AbortController();
  /** Aborted when this process gives it up. */
  private readonly life = new AbortController();
  private queue: Promise<unknown> = Promise.resolve();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private listeners = new Set<() => void>();
  private removing: Promise<void> | undefined;
  private released = false;
  private removed = false;

  constructor(record: SandboxRecord, deps: UnitDeps) {
    this.record = record;
    this.deps = { ...deps, log: deps.log.child({ sandbox_id: record.id }) };
    this.last = new LastSnapshot(deps.takeLast);
    this.decision = decide(this.observed(), deps.clock.now(), deps.retentionMs);
  }

  /** The present state; undefined once the sandbox is gone. */
  get sandbox(): Sandbox | undefined {
    return this.removed ? undefined : sandboxOf(this.record, this.decision);
  }

  get bootOfRunning(): Boot | undefined {
    return this.decision.phase === "Running" ? this.boot : undefined;
  }

  /** The container that a snapshot is to be taken of; throws TakeFault. */
  source(containerName: string | undefined): SnapshotSource {
    return sourceOf(this.record, { boot: this.boot, phase: this.decision.phase }, containerName);
  }

  /** Keys of the layers that its containers stand on, as long as they live. */
  layersInUse(): readonly string[] {
    if (this.record.ended !== undefined) return [];
    const grounds = Object.values(this.record.restored ?? {}).map(({ ground }) => ground);
    return grounds.flatMap((ground) => (ground.kind === "layers" ? ground.layers.map(({ key }) => key) : []));
  }

  /** Starts a recorded sandbox that has no boot yet. */
  begin(): void {
    void this.start();
    void this.update({});
  }

  /** Takes up a sandbox found after a restart of this process. */
  resume(boot: Boot | undefined): void {
    if (this.record.ended !== undefined) {
      void this.update({});
    } else if (boot !== undefined && this.record.startedAtMs !== undefined) {
      this.boot = boot;
      this.agentReady = true;
      this.watchContainers(boot);
      void this.update({});
    } else if (this.record.removeRequestedAtMs !== undefined) {
      void this.update({});
    } else if (this.record.startedAtMs === undefined) {
      void this.restart();
    } else {
      void this.lost();
    }
  }

  /** The creator has its answer. */
  async confirm(): Promise<void> {
    await this.update({ provisional: false });
  }

  /** Resolves when the wish is recorded; the removal goes on by itself. */
  async remove(): Promise<void> {
    await this.update({ removeRequestedAtMs: this.record.removeRequestedAtMs ?? this.deps.clock.now() });
  }

  /** Calls back after each change, until released. */
  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Stops timers and watching; the sandbox itself goes on. */
  async release(): Promise<void> {
    this.released = true;
    clearTimeout(this.timer);
    this.work.abort(new Error("the gateway stops"));
    this.life.abort(new Error("the gateway stops"));
    await this.queue.catch(() => {});
  }

  private observed(): Observed {
    const { spec, createdAtMs, startedAtMs, removeRequestedAtMs, ended, exits } = this.record;
    const started = this.boot !== undefined && this.boot.containers.length > 0;
    const containers = spec.containers.map(({ name }) => {
      const exitCode = exits[name];
      if (exitCode !== undefined) return { name, state: "exited" as const, exitCode };
      return { name, state: started ? ("running" as const) : ("waiting" as const) };
    });
    return {
      spec,
      createdAtMs,
      containers,
      agentReady: this.agentReady,
      ...(startedAtMs === undefined ? {} : { startedAtMs }),
      ...(removeRequestedAtMs === undefined ? {} : { removeRequestedAtMs }),
      ...(ended === undefined ? {} : { ended }),
      ...(this.failure === undefined ? {} : { failure: this.failure }),
      ...(this.waitsFor === undefined ? {} : { waitsFor: this.waitsFor }),
      ...this.last.observed(this.record),
    };
  }

  /** Takes in new facts, decides, saves what must last, and acts on the decision. */
  private update(change: Partial<SandboxRecord>): Promise<void> {
    const next = this.queue.then(() => this.step(change));
    this.queue = next.catch((error: unknown) => this.deps.log.error("Sandbox state not saved", { error }));
    return next;
  }

  private async step(change: Partial<SandboxRecord>): Promise<void> {
    if (this.removed || this.released) return;
    const nowMs = this.deps.clock.now();
    const before = this.record;
    this.record = { ...this.record, ...change };
    const decision = decide(this.observed(), nowMs, this.deps.retentionMs);
    const outcome = outcomeOf(decision, nowMs);
    if (outcome !== undefined && this.record.ended === undefined) this.record = { ...this.record, ended: outcome };
    if (decision.phase === "Running" && this.record.startedAtMs === undefined) {
      this.record = { ...this.record, startedAtMs: nowMs };
    }
    const snapshotDeadlineAtMs = decision.snapshotAtEnd?.deadlineAtMs;
    if (snapshotDeadlineAtMs !== undefined) this.record = { ...this.record, snapshotDeadlineAtMs };
    if (!sameRecord(before, this.record)) await this.deps.save(this.record);
    this.logChange(decision);
    this.decision = decide(this.observed(), nowMs, this.deps.retentionMs);
    this.arm(nowMs);
    if (this.decision.snapshotAtEnd !== undefined) {
      const call = { signal: this.life.signal, log: this.deps.log };
      this.last.follow(
        this.decision.snapshotAtEnd,
        this.record,
        call,
        () => void this.update({}).catch(() => undefined),
      );
    } else if (this.decision.phase !== "Pending" && this.decision.phase !== "Running") {
      this.windUp();
    }
    for (const listener of this.listeners) listener();
  }

  private logChange(next: Decision): void {
    if (next.phase === this.decision.phase) return;
    const { phase, reason, message } = next;
    this.deps.log.info("Sandbox changed", { phase, reason, detail: message });
  }

  private arm(nowMs: number): void {
    clearTimeout(this.timer);
    const { nextDeadlineMs } = this.decision;
    if (nextDeadlineMs === undefined || this.released) return;
    // A deadline beyond the longest timer is looked at again then.
    const delayMs = Math.min(Math.max(nextDeadlineMs - nowMs, 1), MAX_TIMER_MS);
    this.timer = setTimeout(() => void this.update({}), delayMs);
  }

  /** Ends the boot of a sandbox that has ended, and the record too when that is decided. */
  private windUp(): void {
    this.work.abort(new Error("the sandbox has ended"));
    const remove = this.decision.remove === true;
    if (this.removing !== undefined && !remove) return;
    this.removing = (this.removing ?? Promise.resolve()).then(() => this.tearDown(remove));
  }

  private async tearDown(remove: boolean): Promise<void> {
    try {
      // A start that is still under way may yet record its boot: it is waited for first.
      await this.starting?.catch(() => {});
      if (this.record.bootId !== undefined) await this.deps.machine.destroy(this.record.bootId);
      if (!remove || this.removed) return;
      await this.deps.gone(this.record.id);
      this.removed = true;
      clearTimeout(this.timer);
      for (const listener of this.listeners) listener();
    } catch (error) {
      this.removing = undefined;
      this.deps.log.error("Sandbox not removed, trying again", { error });
      if (!this.released) this.timer = setTimeout(() => void this.update({}), 1000);
    }
  }

  private starting: Promise<void> | undefined;

  private start(): Promise<void> {
    this.starting = this.runStart();
    return this.starting;
  }

  private async runStart(): Promise<void> {
    const call: Call = { signal: this.work.signal, log: this.deps.log };
    const { machine } = this.deps;
    try {
      const boot = await this.startBoot(call);
      this.boot = boot;
      this.watchContainers(boot);
      await machine.agentReady(boot, call);
      this.agentReady = true;
      await this.update({});
    } catch (error) {
      if (this.work.signal.aborted) return;
      this.failure = failureOf(error);
      if (!(error instanceof StartError)) this.deps.log.error("Sandbox not started", { error });
      await this.update({}).catch(() => {});
    } finally {
      machine.refillPool();
    }
  }

  /** Waits for the snapshots that it starts from; others start meanwhile. */
  private startBoot(call: Call): Promise<Boot> {
    const { machine, startSlot: slot, restores } = this.deps;
    const { spec } = this.record;
    const onWait = (what: string | undefined): void => {
      this.waitsFor = what;
      void this.update({}).catch(() => undefined);
    };
    return restores.start(spec, { ...call, onWait }, async (all) => {
      const found = [...all];
      // The record says which they are, as the next ones stand on them.
      if (found.length > 0)
        await this.update({ restored: Object.fromEntries(found.map(([name, { restored }]) => [name, restored])) });
      const roots = new Map(found.map(([name, { root }]) => [name, root]));
      return machine.start({ spec, restores: roots, own: (boot: Boot) => this.own(boot), slot }, call);
    });
  }

  /** The record names the boot before it gets anything of this sandbox, so that no crash separates them. */
  private async own(boot: Boot): Promise<void> {
    await this.update({ bootId: boot.id });
    if (this.record.bootId === boot.id) return;
    await this.deps.machine.destroy(boot.id);
    throw new Error("the sandbox ended while it was started");
  }

  /** A start that was cut by a crash begins again on a fresh boot. */
  private async restart(): Promise<void> {
    if (this.record.bootId !== undefined) await this.deps.machine.destroy(this.record.bootId);
    const { bootId: _, ...rest } = this.record;
    this.record = rest;
    this.begin();
  }

  private async lost(): Promise<void> {
    this.failure = await this.deps.machine.postMortem(this.record.bootId ?? "");
    await this.update({});
  }

  private watchContainers(boot: Boot): void {
    for (const name of boot.containers) {
      if (this.record.exits[name] === undefined) void this.watchContainer(boot, name);
    }
  }

  private async watchContainer(boot: Boot, name: string): Promise<void> {
    try {
      const end = await this.deps.machine.waitContainer(boot, name, this.work.signal);
      if (this.work.signal.aborted) return;
      if (end.kind === "lost") {
        this.failure ??= { reason: end.reason, message: end.message };
        await this.update({});
      } else {
        await this.update({ exits: { ...this.record.exits, [name]: end.exitCode } });
      }
    } catch (error) {
      if (!this.work.signal.aborted) this.deps.log.error("Container no longer watched", { error, container: name });
    }
  }
}

function failureOf(error: unknown): NonNullable<Observed["failure"]> {
  if (error instanceof StartError) return { reason: error.reason, message: error.message };
  return { reason: "PodCreationFailed", message: "The sandbox could not be started; the server's log has the reason." };
}

function sameRecord(a: SandboxRecord, b: SandboxRecord): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
