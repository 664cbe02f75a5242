import type { Clock } from "#core/clock.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { hasEnded, type Sandbox } from "#core/sandbox.ts";
import type { Agents } from "./agents.ts";
import { endedProblem, podEndedProblem } from "./ended.ts";

/** An agent whose sandbox has ended is left so long to send the rest of what is read. */
const LINGER_MS = 3000;

export interface AgentReleaseDeps {
  readonly clock: Pick<Clock, "sleep">;
  readonly agents: Pick<Agents, "knows" | "forget">;
}

/**
 * Ends what waits for an agent that is no more. A sandbox is a machine of its own: when its node
 * ends it, nothing closes its connections, so that who reads from it would wait for nothing.
 */
export class AgentRelease {
  private readonly deps: AgentReleaseDeps;
  /** Of sandboxes that have ended while their pods have not. */
  private readonly lingering = new Map<string, AbortController>();

  constructor(deps: AgentReleaseDeps) {
    this.deps = deps;
  }

  /** Looks at a sandbox that there is, and its own pod if there is one. */
  consider(uid: string, sandbox: Sandbox, pod: Pod | undefined): void {
    if (!this.deps.agents.knows(uid)) return;
    const isEnded = hasEnded(sandbox.phase);
    const { phase } = pod?.status ?? {};
    if (pod !== undefined && (phase === "Failed" || phase === "Succeeded")) {
      this.forget(uid, isEnded ? endedProblem(sandbox) : podEndedProblem(sandbox.id, pod));
    } else if (isEnded && !this.lingering.has(uid)) {
      void this.linger(uid, sandbox);
    }
  }

  /** Nobody is to wait for this agent from now on. */
  forget(uid: string, reason?: Error): void {
    this.lingering.get(uid)?.abort(new Error("the agent is left already"));
    this.lingering.delete(uid);
    this.deps.agents.forget(uid, reason);
  }

  close(): void {
    for (const uid of Array.from(this.lingering.keys())) this.forget(uid);
  }

  private async linger(uid: string, sandbox: Sandbox): Promise<void> {
    const abort = new AbortController();
    this.lingering.set(uid, abort);
    try {
      await this.deps.clock.sleep(LINGER_MS, abort.signal);
    } catch {
      return;
    }
    this.forget(uid, endedProblem(sandbox));
  }
}
