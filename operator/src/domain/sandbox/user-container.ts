import type { Container, EnvVar } from "#core/kubernetes/pod.ts";
import { CONTAINER_MARK, siblingMarks } from "#sidecar/manifest.ts";
import { shortCapability } from "./forbidden.ts";

/** What a container runs that names nothing: it waits for commands. */
const IDLE_COMMAND: readonly string[] = ["sleep", "infinity"];

/**
 * A container of the template as it runs beside the agent; `index` is its place among those that
 * run at the same time.
 */
export function userContainer(container: Container, index: number): Container {
  return {
    ...marked(container, index),
    ...(isEmpty(container.command) && isEmpty(container.args) ? { command: IDLE_COMMAND } : {}),
    env: [...(container.env ?? []).filter(isUsers), { name: CONTAINER_MARK, value: container.name }],
  };
}

/** An init container; one that goes on running beside the others is marked like them. */
export function initContainer(container: Container, index: number): Container {
  return container.restartPolicy === "Always" ? marked(container, index) : container;
}

/** With marks of its own no root of one container can look into the processes of another. */
function marked(container: Container, index: number): Container {
  const { securityContext = {} } = container;
  const { add = [], ...capabilities } = securityContext.capabilities ?? {};
  const marks = siblingMarks(index).map(shortCapability);
  return {
    ...container,
    securityContext: { ...securityContext, capabilities: { ...capabilities, add: [...add, ...marks] } },
  };
}

/** The mark says to the agent which processes are whose: a template's own would lie. */
function isUsers({ name }: EnvVar): boolean {
  return name !== CONTAINER_MARK;
}

function isEmpty(list: readonly string[] | undefined): boolean {
  return list === undefined || list.length === 0;
}
