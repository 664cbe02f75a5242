import { AgentHealth, AGENT_PATHS } from "#api/agent.ts";
import { deriveAgentKey } from "#core/agent-proof.ts";
import type { Clock } from "#core/clock.ts";
import { withDeadline } from "#core/deadline.ts";
import type { AgentKeySet } from "#core/kubernetes/agent-keys.ts";
import { ProblemError } from "#core/problem-error.ts";
import { createProvenFetch } from "#runtime/agent/proven-fetch.ts";
import { parseJson, readText } from "#runtime/agent/read-text.ts";
import { createTokenSource } from "#runtime/agent/token-source.ts";
import type { AgentFetch } from "#runtime/backend/port.ts";

/** An agent that is there answers at once. */
const HEALTH_MS = 2000;
const MAX_HEALTH_BYTES = 65_536;

/** Connections to one agent. */
export interface AgentConnection {
  readonly fetch: AgentFetch;
  /** Requests that wait, and later ones, fail with the reason. */
  close(reason?: Error): void;
}

export interface AgentsDeps {
  readonly clock: Clock;
  /** Undefined while the operator has not made them. */
  readonly keys: () => AgentKeySet | undefined;
  readonly connect: (ip: string, token: () => Promise<string>) => AgentConnection;
}

interface Agent {
  readonly ip: string;
  readonly keys: AgentKeySet;
  readonly connection: AgentConnection;
  readonly fetch: AgentFetch;
}

/** The agents in the sandboxes' pods, by the sandbox objects' uids: with tokens, proofs and kept connections. */
export class Agents {
  private readonly known = new Map<string, Agent>();
  private readonly deps: AgentsDeps;

  constructor(deps: AgentsDeps) {
    this.deps = deps;
  }

  get hasKeys(): boolean {
    return this.deps.keys() !== undefined;
  }

  /** Sends requests to the agent of this sandbox, or to nobody. */
  async fetchOf(uid: string, ip: string): Promise<AgentFetch> {
    const keys = this.deps.keys();
    if (keys === undefined) throw new ProblemError("unavailable", "The gateway waits for the keys of the agents.");
    const known = this.known.get(uid);
    if (known?.ip === ip && known.keys === keys) return known.fetch;
    const key = await deriveAgentKey(keys.agentMasterKey, uid);
    const meanwhile = this.known.get(uid);
    if (meanwhile?.ip === ip && meanwhile.keys === keys) return meanwhile.fetch;
    meanwhile?.connection.close();
    const token = createTokenSource(keys.gatewayPrivateKey, uid, this.deps.clock);
    const connection = this.deps.connect(ip, token);
    const fetch = createProvenFetch(connection.fetch, { key, clock: this.deps.clock });
    this.known.set(uid, { ip, keys, connection, fetch });
    return fetch;
  }

  /** Names of the containers that the agent finds running; throws while it gives no good answer. */
  async containersOf(uid: string, ip: string, signal: AbortSignal): Promise<readonly string[]> {
    const late = (): Error => new Error(`The agent did not answer within ${HEALTH_MS} ms`);
    return withDeadline({ clock: this.deps.clock, timeoutMs: HEALTH_MS, signal, late }, async (bounded) => {
      const fetch = await this.fetchOf(uid, ip);
      const response = await fetch(new Request(`http://agent${AGENT_PATHS.health}`, { signal: bounded }));
      const health = AgentHealth.parse(parseJson(await readText(response, MAX_HEALTH_BYTES)));
      return health.containers.map(({ name }) => name);
    });
  }

  /** Whether connections to this agent are kept. */
  knows(uid: string): boolean {
    return this.known.has(uid);
  }

  /** Closes what is kept; requests that wait for this agent fail with the reason. */
  forget(uid: string, reason?: Error): void {
    this.known.get(uid)?.connection.close(reason);
    this.known.delete(uid);
  }

  close(): void {
    for (const uid of Array.from(this.known.keys())) this.forget(uid);
  }
}
