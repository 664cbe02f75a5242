import { AGENT_CONTAINER } from "#core/kubernetes/names.ts";
import type { Container, ContainerResources } from "#core/kubernetes/pod.ts";
import { AGENT_CAPABILITIES, AGENT_COMMAND, POD_LISTEN_ENVIRONMENT } from "#sidecar/manifest.ts";
import { shortCapability } from "./forbidden.ts";
import type { AgentSettings } from "./settings.ts";

const LIMITED = ["cpu", "memory", "ephemeral-storage"] as const;

export interface AgentIdentity {
  /** Uid of the Sandbox object. */
  readonly agentId: string;
  /** What the agent proves itself with. */
  readonly key: string;
}

/** The agent's container, which stands before the user's. */
export function agentContainer(
  agent: AgentSettings,
  { agentId, key }: AgentIdentity,
  users: readonly Container[],
): Container {
  return {
    name: AGENT_CONTAINER,
    image: agent.image,
    imagePullPolicy: agent.imagePullPolicy,
    command: AGENT_COMMAND,
    env: [
      { name: "ATOLL_AGENT_ID", value: agentId },
      { name: "ATOLL_GATEWAY_PUBLIC_KEY", value: agent.gatewayPublicKey },
      { name: "ATOLL_AGENT_KEY", value: key },
      { name: "ATOLL_JOURNAL_BUDGET_BYTES", value: String(agent.journalBudgetBytes) },
      ...POD_LISTEN_ENVIRONMENT,
    ],
    resources: agentResources(agent, users),
    securityContext: {
      runAsUser: 0,
      runAsGroup: 0,
      runAsNonRoot: false,
      allowPrivilegeEscalation: true,
      capabilities: { drop: ["ALL"], add: AGENT_CAPABILITIES.map(shortCapability) },
    },
  };
}

/**
 * Kubernetes sums the limits of a pod's containers, and only where each has one. So the agent has a
 * limit exactly where the users' containers all have: without it theirs would be void, and where
 * they have none its own would become theirs.
 */
function agentResources(agent: AgentSettings, users: readonly Container[]): ContainerResources {
  const limited = LIMITED.filter((dimension) =>
    users.every(({ resources }) => resources?.limits?.[dimension] !== undefined),
  );
  const limits = Object.fromEntries(limited.map((dimension) => [dimension, agent.limits[dimension]]));
  return { requests: agent.requests, ...(limited.length === 0 ? {} : { limits }) };
}
