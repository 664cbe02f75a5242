import type { Clock } from "#core/clock.ts";
import type { Log } from "#core/log.ts";
import type { Call } from "#runtime/backend/port.ts";
import type { Boot } from "../machine.ts";
import { shapeKey, type Shape } from "../shape.ts";
import type { BootMaker } from "./boot-maker.ts";

/** Time a pooled agent has to show that it lives; a healthy one answers within a few milliseconds. */
const PROBE_TIMEOUT_MS = 1000;
/** Time a fresh agent has for its first answer, on a loaded machine. */
const FIRST_ANSWER_TIMEOUT_MS = 30_000;
/** Pause after a boot for the pool failed, so that a broken machine is not driven hot. */
const RETRY_PAUSE_MS = 5000;

export interface BootPoolDeps {
  readonly maker: BootMaker;
  readonly clock: Clock;
  readonly log: Log;
  readonly size: number;
}

/**
 * A few booted sandboxes that hold only the agent. They have the shape asked for last, since
 * the next request most often looks like it. A taken one is probed first: a dead one is replaced.
 */
export class BootPool {
  private readonly deps: BootPoolDeps;
  private readonly stop = new AbortController();
  private idle: Boot[] = [];
  private shape: Shape = {};
  private filling: Promise<void> | undefined;

  constructor(deps: BootPoolDeps) {
    this.deps = deps;
  }

  /** A pooled boot of this shape that answers, or a new one. */
  async take(shape: Shape, call: Call): Promise<Boot> {
    this.shape = shape;
    for (let boot = this.pop(shape); boot !== undefined; boot = this.pop(shape)) {
      if (await this.answers(boot.id, call.signal)) return boot;
      call.log.warn("Pooled boot does not answer, removed", { boot: boot.id });
      void this.discard(boot.id);
    }
    return this.deps.maker.make(shape, call);
  }

  /** Takes up a boot that an earlier process left. */
  async adopt(boot: Boot): Promise<void> {
    const fits = this.idle.length < this.deps.size && shapeKey(boot.shape) === shapeKey(this.shape);
    if (fits && (await this.answers(boot.id, this.stop.signal))) this.idle.push(boot);
    else await this.deps.maker.remove(boot.id);
  }

  refill(): void {
    if (this.stop.signal.aborted || this.filling !== undefined || this.full()) return;
    this.filling = this.fill().finally(() => {
      this.filling = undefined;
      if (!this.full()) this.refill();
    });
  }

  /** Stops filling and removes what is pooled: nothing that no sandbox uses outlives an orderly end. */
  async close(): Promise<void> {
    this.stop.abort(new Error("the gateway stops"));
    await this.filling;
    await Promise.all(this.idle.splice(0).map((boot) => this.discard(boot.id)));
  }

  private full(): boolean {
    return this.idle.filter((boot) => shapeKey(boot.shape) === shapeKey(this.shape)).length >= this.deps.size;
  }

  private pop(shape: Shape): Boot | undefined {
    const index = this.idle.findIndex((boot) => shapeKey(boot.shape) === shapeKey(shape));
    return index < 0 ? undefined : this.idle.splice(index, 1)[0];
  }

  private async fill(): Promise<void> {
    const call: Call = { signal: this.stop.signal, log: this.deps.log };
    try {
      const boot = await this.deps.maker.make(this.shape, call);
      await this.untilAnswers(boot);
      this.idle.push(boot);
      for (const old of this.idle.splice(0, Math.max(0, this.idle.length - this.deps.size))) void this.discard(old.id);
    } catch (error) {
      if (this.stop.signal.aborted) return;
      this.deps.log.error("Pool not filled", { error });
      await this.deps.clock.sleep(RETRY_PAUSE_MS, this.stop.signal).catch(() => {});
    }
  }

  private async untilAnswers(boot: Boot): Promise<void> {
    const limit = AbortSignal.any([this.stop.signal, AbortSignal.timeout(FIRST_ANSWER_TIMEOUT_MS)]);
    try {
      await this.deps.maker.agentAnswers(boot.id, limit, () => true);
    } catch (error) {
      await this.discard(boot.id);
      throw error;
    }
  }

  private async answers(id: string, signal: AbortSignal): Promise<boolean> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(PROBE_TIMEOUT_MS)]);
    return this.deps.maker
      .agentAnswers(id, limit, () => true)
      .then(
        () => true,
        () => false,
      );
  }

  private async discard(id: string): Promise<void> {
    await this.deps.maker
      .remove(id)
      .catch((error: unknown) => this.deps.log.error("Boot not removed", { boot: id, error }));
  }
}
