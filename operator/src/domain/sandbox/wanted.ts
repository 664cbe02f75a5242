import type { SandboxResource } from "#api/crd/sandbox.ts";
import { customNetworkPolicy } from "#core/kubernetes/network-policies.ts";
import type { NetworkPolicy } from "#core/kubernetes/network-policy.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { ProblemError } from "#core/problem-error.ts";
import { restoreObstacle } from "../restore/sources.ts";
import { quoted, type Fault } from "./fault.ts";
import { forbiddenAsks } from "./forbidden.ts";
import { sandboxPod } from "./pod.ts";
import type { SandboxSettings } from "./settings.ts";
import { withoutNulls } from "./without-nulls.ts";

/** The objects that a sandbox needs, or why it cannot have them. */
export type Wanted =
  | { readonly kind: "objects"; readonly pod: Pod; readonly policy?: NetworkPolicy }
  | { readonly kind: "fault"; readonly fault: Fault };

export interface WantedFacts {
  readonly agentKey: string;
  /** Of the runtime class that the pod is to have; undefined = not known. */
  readonly handler?: string;
}

/** Everything that can be known wrong about a sandbox before a pod is asked for. */
export function wantedObjects(
  written: SandboxResource,
  settings: SandboxSettings,
  { agentKey, handler }: WantedFacts,
): Wanted {
  const { spec } = written;
  const sandbox = { ...written, spec: { ...spec, podTemplate: withoutNulls(spec.podTemplate) } };
  try {
    const hasSnapshots = settings.snapshots !== undefined;
    const obstacle = restoreObstacle(sandbox.spec, { hasSnapshots, ...(handler === undefined ? {} : { handler }) });
    if (obstacle !== undefined) return refuse("RootfsRestoreConfigurationError", obstacle);
    const policy = customNetworkPolicy(sandbox);
    const asks = forbiddenAsks(sandbox.spec.podTemplate.spec);
    if (asks.length > 0) {
      return refuse("PodCreationFailed", `The pod template asks for what no sandbox may have: ${asks.join(", ")}.`);
    }
    const pod = sandboxPod(sandbox, settings, agentKey);
    return { kind: "objects", pod, ...(policy === undefined ? {} : { policy }) };
  } catch (error) {
    const why = quoted(error instanceof Error ? error.message : String(error), "no cause is known");
    if (error instanceof ProblemError) return refuse("NetworkPolicyFailed", `The network cannot be set up: ${why}.`);
    // The API server keeps a template it cannot know: what is no pod at all shows when it is made into one.
    return refuse("PodCreationFailed", `The pod template cannot be made into a pod: ${why}.`);
  }
}

function refuse(reason: Fault["reason"], message: string): Wanted {
  return { kind: "fault", fault: { reason, message } };
}

/** Whether a policy is there as wanted; other managers may have added labels, but no flows. */
export function hasPolicy(present: NetworkPolicy | undefined, wanted: NetworkPolicy): boolean {
  return present !== undefined && JSON.stringify(canonical(present.spec)) === JSON.stringify(canonical(wanted.spec));
}

/** The same value with its members in one order: the API server gives them in another. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(
    entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, member]) => [key, canonical(member)]),
  );
}
