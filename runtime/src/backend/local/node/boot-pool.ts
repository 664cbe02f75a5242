import type { Clock } from "#core/clock.ts";
import type { Log } from "#core/log.ts";
import type { Call } from "#runtime/backend/port.ts";
import type { Boot } from "../machine.ts";
import { fits, type Need } from "../need.ts";
import type { BootMaker } from "./boot-maker.ts";

/** Time an agent has for its first answer, on a loaded machine. */
const FIRST_ANSWER_TIMEOUT_MS = 30_000;
const WARM_UP_REQUESTS = 10;
/** Pause after a boot for the pool failed, so that a broken machine is not driven hot. */
const RETRY_PAUSE_MS = 5000;

export interface BootPoolDeps {
  readonly maker: BootMaker;
  readonly clock: Clock;
  readonly log: Log;
  readonly size: number;
  /** Resolves when the boot's kernel is gone; rejects when the signal aborts. */
  readonly death: (boot: Boot, signal: AbortSignal) => Promise<void>;
}

interface Idle {
  readonly boot: Boot;
  /** Ends the watch over it. */
  readonly unwatch: AbortController;
}

/**
 * A few booted sandboxes. The next request most often looks like the last one: all but one of
 * them hold that one's containers, which wait for their program; the other holds the agent alone
 * and serves any image. Each is watched: one that dies is replaced.
 */
export class BootPool {
  private readonly deps: BootPoolDeps;
  private readonly stop = new AbortController();
  private idle: Idle[] = [];
  private need: Need = { shape: {}, held: [] };
  /** Boots that are being removed beside all else. */
  private readonly leaving = new Set<Promise<void>>();
  private filling: Promise<void> | undefined;

  constructor(deps: BootPoolDeps) {
    this.deps = deps;
  }

  /** A boot of this shape that holds these containers: ready, made ready, or new. */
  async take(need: Need, call: Call): Promise<Boot> {
    this.need = need;
    const ready = this.pop(need);
    if (ready !== undefined) return ready;
    const bare = this.pop({ ...need, held: [] });
    return bare === undefined ? this.deps.maker.make(need, call) : this.deps.maker.hold(bare, need.held, call);
  }

  /** Takes up a boot that an earlier process left. */
  async adopt(boot: Boot): Promise<void> {
    if (this.idle.length >= this.deps.size || !(await this.answers(boot))) return this.discard(boot);
    this.put(boot);
    if (boot.held.length > 0) this.need = boot;
  }

  refill(): void {
    if (this.stop.signal.aborted || this.filling !== undefined || this.next() === undefined) return;
    this.filling = this.fill().finally(() => {
      this.filling = undefined;
      this.refill();
    });
  }

  /** Stops filling and removes what is pooled: nothing that no sandbox uses outlives an orderly end. */
  async close(): Promise<void> {
    this.stop.abort(new Error("the gateway stops"));
    await this.filling;
    const boots = this.idle.splice(0);
    for (const { unwatch } of boots) unwatch.abort();
    await Promise.all([...boots.map(({ boot }) => this.discard(boot)), ...this.leaving]);
  }

  /** What the pool lacks, if anything: first boots for the same request again, then one for any other. */
  private next(): Need | undefined {
    const { size } = this.deps;
    const bare: Need = { shape: this.need.shape, held: [] };
    const wantedReady = this.need.held.length === 0 ? 0 : Math.max(Math.min(size, 1), size - 1);
    if (this.count(this.need) < wantedReady) return this.need;
    return this.count(bare) < size - wantedReady ? bare : undefined;
  }

  private count(need: Need): number {
    return this.idle.filter(({ boot }) => fits(boot, need)).length;
  }

  private pop(need: Need): Boot | undefined {
    const index = this.idle.findIndex(({ boot }) => fits(boot, need));
    const [taken] = index < 0 ? [] : this.idle.splice(index, 1);
    taken?.unwatch.abort();
    return taken?.boot;
  }

  private put(boot: Boot): void {
    const unwatch = new AbortController();
    const entry = { boot, unwatch };
    this.idle.push(entry);
    const lost = (): void => {
      if (!this.idle.includes(entry)) return;
      this.idle.splice(this.idle.indexOf(entry), 1);
      this.deps.log.warn("Pooled boot died, removed", { boot: boot.id });
      this.discardAside(boot, () => this.refill());
    };
    this.deps.death(boot, unwatch.signal).then(lost, () => undefined);
  }

  private async fill(): Promise<void> {
    const need = this.next();
    if (need === undefined) return;
    try {
      const boot = await this.deps.maker.make(need, { signal: this.stop.signal, log: this.deps.log });
      try {
        if (!(await this.answers(boot))) throw new Error("The agent of a boot for the pool does not answer");
        await this.warmUp(boot);
        await this.deps.maker.markWaiting(boot);
      } catch (error) {
        await this.discard(boot);
        throw error;
      }
      this.put(boot);
      this.trim();
    } catch (error) {
      if (this.stop.signal.aborted) return;
      this.deps.log.error("Pool not filled", { error });
      await this.deps.clock.sleep(RETRY_PAUSE_MS, this.stop.signal).catch(() => {});
    }
  }

  /** Removes what is too much, first of all what the last request has no use for. */
  private trim(): void {
    const use = ({ boot }: Idle): number => (fits(boot, this.need) || fits(boot, { ...this.need, held: [] }) ? 1 : 0);
    const kept = new Set(this.idle.toSorted((a, b) => use(b) - use(a)).slice(0, this.deps.size));
    for (const entry of this.idle.filter((each) => !kept.has(each))) {
      entry.unwatch.abort();
      this.discardAside(entry.boot);
    }
    this.idle = this.idle.filter((each) => kept.has(each));
  }

  /** False when the agent is late with its first answer, or its kernel dies first. */
  private async answers(boot: Boot): Promise<boolean> {
    const over = new AbortController();
    const limit = AbortSignal.any([this.stop.signal, over.signal, AbortSignal.timeout(FIRST_ANSWER_TIMEOUT_MS)]);
    this.deps.death(boot, limit).then(
      () => over.abort(),
      () => undefined,
    );
    try {
      await this.deps.maker.agentAnswers(boot.id, limit);
      return true;
    } catch {
      return false;
    } finally {
      over.abort();
    }
  }

  /** An agent answers its first requests slowly; these are nobody's. */
  private async warmUp(boot: Boot): Promise<void> {
    for (let asked = 0; asked < WARM_UP_REQUESTS; asked += 1)
      await this.deps.maker.agentAnswers(boot.id, this.stop.signal);
  }

  /** An orderly end waits for it. */
  private discardAside(boot: Boot, then: () => void = () => undefined): void {
    const leaving = this.discard(boot).then(() => {
      this.leaving.delete(leaving);
      then();
    });
    this.leaving.add(leaving);
  }

  private async discard({ id }: Boot): Promise<void> {
    await this.deps.maker
      .remove(id)
      .catch((error: unknown) => this.deps.log.error("Boot not removed", { boot: id, error }));
  }
}
