interface Workload {
  readonly metadata: { readonly generation?: number; readonly name: string; readonly namespace?: string };
  readonly spec?: { readonly replicas?: number; readonly type?: string; readonly selector?: object };
  readonly status?: Readonly<Record<string, unknown>>;
}

/** Whether the provider would go on: the rules are those of its await logic for the kinds we install. */
export async function isReady(
  live: object,
  inputs: Readonly<Record<string, unknown>>,
  text: (path: string) => Promise<string>,
): Promise<boolean> {
  const workload = live as Workload;
  if (skipsWaiting(inputs)) return true;
  switch (inputs["kind"]) {
    case "Deployment":
      return isDeploymentReady(workload);
    case "DaemonSet":
      return isDaemonSetReady(workload);
    case "CustomResourceDefinition":
      return conditionOf(workload, "Established") === "True";
    case "Service":
      return hasEndpoints(workload, text);
    case "Ingress":
      return Array.isArray((workload.status?.["loadBalancer"] as { ingress?: unknown } | undefined)?.ingress);
    default:
      return true;
  }
}

function skipsWaiting(inputs: Readonly<Record<string, unknown>>): boolean {
  const { annotations } = inputs["metadata"] as { annotations?: Record<string, string> };
  return annotations?.["pulumi.com/skipAwait"] === "true";
}

function isDeploymentReady({ metadata, spec, status = {} }: Workload): boolean {
  const wanted = spec?.replicas ?? 1;
  return (
    status["observedGeneration"] === metadata.generation &&
    (status["updatedReplicas"] ?? 0) === wanted &&
    (status["availableReplicas"] ?? 0) === wanted &&
    (status["replicas"] ?? 0) === wanted
  );
}

function isDaemonSetReady({ metadata, status = {} }: Workload): boolean {
  const wanted = status["desiredNumberScheduled"];
  return (
    status["observedGeneration"] === metadata.generation &&
    (status["updatedNumberScheduled"] ?? 0) === wanted &&
    (status["numberAvailable"] ?? 0) === wanted
  );
}

function conditionOf({ status }: Workload, type: string): string | undefined {
  const conditions = (status?.["conditions"] ?? []) as readonly { readonly type: string; readonly status: string }[];
  return conditions.find((condition) => condition.type === type)?.status;
}

/** A Service that selects pods is ready when one of them answers. */
async function hasEndpoints({ metadata, spec }: Workload, text: (path: string) => Promise<string>): Promise<boolean> {
  if (spec?.selector === undefined) return true;
  const namespace = metadata.namespace ?? "default";
  const path = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices?labelSelector=kubernetes.io/service-name=${metadata.name}`;
  const { items } = JSON.parse(await text(path)) as { items: { endpoints?: { conditions?: { ready?: boolean } }[] }[] };
  return items.some(({ endpoints = [] }) => endpoints.some(({ conditions }) => conditions?.ready !== false));
}
