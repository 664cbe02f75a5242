import { AGENT_CONTAINER } from "#core/kubernetes/names.ts";
import type { ContainerStatus, Pod } from "#core/kubernetes/pod.ts";

/** The agent's container: beside the user's, or before them where it holds them back. */
export function agentStatus({ status }: Pod): ContainerStatus | undefined {
  const all = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])];
  return all.find(({ name }) => name === AGENT_CONTAINER);
}
