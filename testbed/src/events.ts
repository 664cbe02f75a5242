import { renderTable } from "#cli/display/table.ts";
import { formatBytes, formatDuration } from "#cli/display/amount.ts";
import type { ComponentStatus } from "./component.ts";

/** What the verbs of `atoll testbed` tell, beside steps. */
export type TestbedEvent =
  | { readonly event: "already-up"; readonly root: string; readonly kubeconfig: string }
  | { readonly event: "waiting" }
  | {
      readonly event: "usage";
      readonly bin: string;
      readonly kubeconfig: string;
      readonly registry: string;
      readonly elapsedMs: number;
    }
  | { readonly event: "not-up" }
  | { readonly event: "down" };

/** The answer of `atoll testbed status`. */
export interface TestbedStatus {
  readonly up: boolean;
  readonly root: string;
  readonly startedAt?: string;
  readonly apiServer?: string;
  readonly kubeconfig?: string;
  readonly registry?: string;
  readonly logs?: string;
  /** Absent when the supervisor does not answer. */
  readonly components?: readonly ComponentStatus[];
  readonly diskBytes?: number;
}

/** An event for people. */
export function renderTestbedEvent(event: TestbedEvent): string {
  switch (event.event) {
    case "already-up":
      return `The testbed is up already; its kubeconfig is ${event.kubeconfig}.`;
    case "waiting":
      return "Another atoll is at work on the testbed; waiting for it.";
    case "usage":
      return `
A Kubernetes of one node is up, after ${formatDuration(event.elapsedMs)}. To use it:

  export KUBECONFIG=${event.kubeconfig} PATH=${event.bin}:$PATH
  kubectl get pods -A

Images pushed to ${event.registry} are in the cluster localhost:5000/NAME.
\`atoll testbed status\` shows it, \`atoll testbed down\` removes it.`;
    case "not-up":
      return "The testbed is not up; nothing to remove.";
    case "down":
      return "The testbed is down; nothing of it runs. Built programs and images stay.";
  }
}

/** The answer of `status` for people. */
export function renderTestbedStatus(status: TestbedStatus): string {
  const disk = status.diskBytes === undefined ? [] : [`disk        ${formatBytes(status.diskBytes)} in ${status.root}`];
  if (!status.up) return ["The testbed is not up.", ...disk].join("\n");
  const rows = (status.components ?? []).map(({ name, state, restarts, healthy }) => [
    name,
    state,
    healthy ? "yes" : "no",
    String(restarts),
  ]);
  return [
    "The testbed is up.",
    `API server  ${status.apiServer}`,
    `kubeconfig  ${status.kubeconfig}`,
    `registry    ${status.registry}`,
    `logs        ${status.logs}`,
    `since       ${status.startedAt}`,
    ...disk,
    "",
    rows.length === 0
      ? "Its supervisor does not answer."
      : renderTable(["component", "state", "healthy", "restarts"], rows, ["restarts"]),
  ].join("\n");
}
