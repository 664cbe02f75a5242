import { AGENT_PATHS, AgentHealth } from "#api/agent.ts";
import { AGENT_FILES } from "#sidecar/manifest.ts";
import type { AgentFetch } from "#runtime/backend/port.ts";
import { until } from "./until.ts";

const WITHIN_MS = 30_000;
/** A request that reaches the socket of an agent just killed may get no answer at all. */
const ANSWER_MS = 1000;

/** Script that kills the agent: all containers of a sandbox share its process ids, so root in any of them can. */
export const KILL_AGENT = `for dir in /proc/[0-9]*; do
  [ "$(head -c ${AGENT_FILES.runtime.length} $dir/cmdline)" = ${AGENT_FILES.runtime} ] && kill -9 "\${dir#/proc/}"
done`;

/** Kills the agent with a command of the user's container, and waits for the next one. */
export async function restartAgent(fetch: AgentFetch): Promise<void> {
  const before = await instanceOf(fetch);
  if (before === undefined) throw new Error("The agent does not answer before it is killed");
  const body = JSON.stringify({ id: crypto.randomUUID(), args: ["sh", "-c", KILL_AGENT] });
  // The agent may die before it has answered.
  await request(fetch, AGENT_PATHS.commands, { method: "POST", body });
  await until(
    () => instanceOf(fetch),
    (now) => now !== undefined && now !== before,
    { timeoutMs: WITHIN_MS },
  );
}

async function instanceOf(fetch: AgentFetch): Promise<string | undefined> {
  const response = await request(fetch, AGENT_PATHS.health);
  const health = AgentHealth.safeParse(await response?.json().catch(() => undefined));
  return health.data?.instance;
}

function request(fetch: AgentFetch, path: string, init: RequestInit = {}): Promise<Response | undefined> {
  const signal = AbortSignal.timeout(ANSWER_MS);
  return fetch(new Request(`http://agent${path}`, { ...init, signal })).catch(() => undefined);
}
