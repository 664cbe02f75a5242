import type { SandboxResource } from "#api/crd/sandbox.ts";
import {
  ANNOTATION,
  GVISOR_ANNOTATION,
  GVISOR_ANNOTATION_PREFIX,
  LABEL,
  OWN_LABEL_PREFIX,
  podName,
  SAFE_TO_EVICT,
} from "#core/kubernetes/names.ts";
import type { Container, Pod, PodSpec } from "#core/kubernetes/pod.ts";
import { podDns } from "#core/kubernetes/pod-dns.ts";
import { networkLabels, ownerOf, sandboxLabels } from "#core/kubernetes/sandbox-labels.ts";
import { planNetwork, type RateLimit } from "#core/network.ts";
import { terminationRequest } from "#core/snapshot/decide-termination.ts";
import { holdingAgent, restoreAnnotations, savedContainer } from "../restore/pod-parts.ts";
import { restoreSources } from "../restore/sources.ts";
import { agentContainer } from "./agent-container.ts";
import { podGraceSeconds } from "./grace.ts";
import type { SandboxSettings } from "./settings.ts";
import { initContainer, userContainer } from "./user-container.ts";

type Strings = Readonly<Record<string, string>>;

const OWN_LABELS: ReadonlySet<string> = new Set([LABEL.name, LABEL.instance, LABEL.managedBy]);

/**
 * The pod of a sandbox: its template with the agent in front and what the operator insists on.
 * Throws as `checkNetwork` does.
 */
export function sandboxPod(sandbox: SandboxResource, settings: SandboxSettings, agentKey: string): Pod {
  const { metadata, spec } = sandbox;
  const template = spec.podTemplate.metadata ?? {};
  const { rateLimit } = planNetwork(spec.network ?? {}, { clusterResolvers: [] });
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: podName(metadata.name),
      ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
      labels: podLabels(sandbox, template.labels ?? {}),
      annotations: podAnnotations(sandbox, settings, rateLimit),
      ownerReferences: [ownerOf(sandbox)],
    },
    spec: podSpec(sandbox, settings, agentKey),
  };
}

function podLabels({ metadata, spec }: SandboxResource, template: Strings): Strings {
  const users = Object.entries(template).filter(([key]) => !key.startsWith(OWN_LABEL_PREFIX) && !OWN_LABELS.has(key));
  return {
    ...Object.fromEntries(users),
    ...sandboxLabels(metadata.name),
    [SAFE_TO_EVICT]: "false",
    ...networkLabels(spec.network),
  };
}

function podAnnotations(sandbox: SandboxResource, settings: SandboxSettings, rateLimit?: RateLimit): Strings {
  const { agent, snapshots } = settings;
  const template = sandbox.spec.podTemplate.metadata?.annotations ?? {};
  const users = Object.entries(template).filter(([key]) => !key.startsWith(GVISOR_ANNOTATION_PREFIX));
  return {
    ...Object.fromEntries(users),
    // The writable layer lies on the node's disk, where the pod's storage limit counts it.
    [GVISOR_ANNOTATION.overlay]: "root:self",
    ...(rateLimit === undefined
      ? {}
      : {
          [GVISOR_ANNOTATION.qdisc]: "tbf",
          [GVISOR_ANNOTATION.qdiscRate]: String(rateLimit.bytesPerSecond),
          [GVISOR_ANNOTATION.qdiscBurst]: String(rateLimit.burstBytes),
        }),
    ...(snapshots === undefined ? {} : restoreAnnotations(sandbox, snapshots)),
    [ANNOTATION.sidecarVersion]: agent.version,
    [SAFE_TO_EVICT]: "false",
  };
}

function podSpec(sandbox: SandboxResource, settings: SandboxSettings, agentKey: string): PodSpec {
  const { metadata, spec } = sandbox;
  const template = spec.podTemplate.spec as PodSpec;
  const users = template.containers;
  const agent = agentContainer(settings.agent, { agentId: metadata.uid ?? "", key: agentKey }, users);
  return {
    ...template,
    terminationGracePeriodSeconds: podGraceSeconds(spec, settings),
    restartPolicy: "Never",
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    shareProcessNamespace: true,
    runtimeClassName: settings.runtimeClass,
    ...(settings.priorityClass === undefined ? {} : { priorityClassName: settings.priorityClass }),
    ...podDns(spec.network),
    ...pullSecrets(template, settings),
    ...placed(agent, sandbox, settings),
  };
}

/** The agent stands before the user's containers, or holds them back until they can start from their snapshots. */
function placed(
  agent: Container,
  sandbox: SandboxResource,
  { snapshots }: SandboxSettings,
): Pick<PodSpec, "containers" | "initContainers"> {
  const { containers: users, initContainers: inits = [] } = sandbox.spec.podTemplate.spec as PodSpec;
  const first = markedInits(inits, users.length);
  const containers = users.map(userContainer);
  const isSaved = snapshots !== undefined && terminationRequest("", sandbox.spec.terminationPolicy) !== undefined;
  const own = isSaved
    ? containers.map((container, index) => (index === 0 ? savedContainer(container, sandbox, snapshots) : container))
    : containers;
  if (snapshots !== undefined && restoreSources(sandbox.spec).length > 0) {
    // Last of them: what is done before takes no time from the archives' way.
    return { containers: own, initContainers: [...first, holdingAgent(agent, sandbox, snapshots)] };
  }
  return { containers: [agent, ...own], ...(first.length === 0 ? {} : { initContainers: first }) };
}

/** Marks go first to the containers, then to those init containers that stay. */
function markedInits(inits: readonly Container[], after: number): readonly Container[] {
  let index = after;
  return inits.map((container) => initContainer(container, container.restartPolicy === "Always" ? index++ : index));
}

function pullSecrets(template: PodSpec, settings: SandboxSettings): Pick<PodSpec, "imagePullSecrets"> {
  const own = template.imagePullSecrets ?? [];
  const added = settings.imagePullSecrets.filter((name) => !own.some((secret) => secret.name === name));
  return own.length + added.length === 0 ? {} : { imagePullSecrets: [...own, ...added.map((name) => ({ name }))] };
}
