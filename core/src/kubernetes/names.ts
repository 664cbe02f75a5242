export { SANDBOX_GROUP, SANDBOX_VERSION } from "#api/crd/group.ts";

/** Holds a sandbox object until its pod is really gone. */
export const SANDBOX_FINALIZER = "sandbox.isola.run/cleanup";

/** Where the platform itself and where sandboxes live, unless configured otherwise. */
export const SYSTEM_NAMESPACE = "atoll-system";
export const SANDBOX_NAMESPACE = "isola-sandboxes";

/** The agent's container, the first of every sandbox pod, and where it listens (TCP). */
export const AGENT_CONTAINER = "sandbox-sidecar";
export const AGENT_PORT = 10_032;

/** Default runtime class of sandboxes, and the containerd handler behind it. */
export const RUNTIME_CLASS = "gvisor";
export const RUNTIME_HANDLER = "runsc";
/** `true` on nodes where the runtime class works. */
export const GVISOR_NODE_LABEL = "atoll.run/gvisor";

/** Service accounts, Deployments and Services of the platform bear these names. */
export const OPERATOR_NAME = "atoll-operator";
export const GATEWAY_NAME = "atoll-gateway";
export const MOUNTER_NAME = "atoll-mounter";

/** Keys of the two-sided proof between gateway and agents: a Secret in the system namespace. */
export const AGENT_KEYS_SECRET = "atoll-agent-keys";

/** Held by the mounter that removes from the snapshot store what nobody needs: a Lease in the system namespace. */
export const SNAPSHOT_COLLECTOR_LEASE = "atoll-snapshot-collector";
/** On the record of a snapshot whose data is to go with it: holds it until the collector has removed the data. */
export const SNAPSHOT_DATA_FINALIZER = "atoll.run/snapshot-data";

/** Where the mounter of a node answers kubelet: TCP, loopback only, unless configured otherwise. */
export const RESTORE_PORT = 10_033;
/** Host folder of the archives that sandboxes start from, unless configured otherwise. */
export const RESTORE_FOLDER = "/var/lib/atoll/restores";

/** Labels of Kubernetes' recommended set that the platform uses. */
export const LABEL = {
  name: "app.kubernetes.io/name",
  instance: "app.kubernetes.io/instance",
  component: "app.kubernetes.io/component",
  partOf: "app.kubernetes.io/part-of",
  managedBy: "app.kubernetes.io/managed-by",
  /** `true` on each sandbox pod. */
  sandbox: "isola.run/sandbox",
  /** Static network policies select by these; the value is `true`. */
  ipv4Internet: "isola.run/allow-ipv4-internet-egress",
  ipv6Internet: "isola.run/allow-ipv6-internet-egress",
  clusterDns: "isola.run/allow-cluster-dns",
} as const;

/** Value of `LABEL.name` and `LABEL.managedBy` on everything that belongs to one sandbox. */
export const SANDBOX_APP = "isola-sandbox";
export const SANDBOX_MANAGER = "isola-operator";

/** Labels prefixed so are the operator's alone. */
export const OWN_LABEL_PREFIX = "isola.run/";

/** Label and annotation that keep the cluster's autoscaler from evicting a sandbox; the value is `false`. */
export const SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict";

export const ANNOTATION = {
  /** Version of the agent's image, mirrored in the sandbox's status. */
  sidecarVersion: "isola.run/sidecar-version",
  /** Digest of the request that made a sandbox: a repeated create must match. */
  requestDigest: "atoll.run/request-digest",
  /** On a sandbox whose client has not had its answer yet; removed by the confirming write. */
  provisional: "atoll.run/provisional",
  /** Milliseconds since the Unix epoch by the creator's clock: orders sandboxes of the same second. */
  createdAtMs: "atoll.run/created-at-ms",
  /** Uid of the pod in which clients use the sandbox: it gets no other. A gateway writes it before the first of them does. */
  usedPod: "atoll.run/used-pod",
  /** On the record of the snapshot at a sandbox's end: the uid of that sandbox. */
  sandboxUid: "atoll.run/sandbox-uid",
} as const;

/** Annotations prefixed so are settings of the sandbox's kernel: the operator's alone. */
export const GVISOR_ANNOTATION_PREFIX = "dev.gvisor.";
/** The annotations with which the operator sets up that kernel. */
export const GVISOR_ANNOTATION = {
  overlay: "dev.gvisor.flag.overlay2",
  qdisc: "dev.gvisor.flag.qdisc",
  qdiscRate: "dev.gvisor.flag.qdisc-tbf-rate",
  qdiscBurst: "dev.gvisor.flag.qdisc-tbf-burst",
  /** Prefix of the name of a container: a host path of the archive it starts from. */
  rootfsTar: "dev.gvisor.tar.rootfs.upper.",
} as const;

/** Static network policies of each sandbox namespace. */
export const STATIC_POLICY = {
  defaultDeny: "atoll-sandbox-default-deny",
  gatewayIngress: "atoll-allow-api-gateway-ingress",
  ipv4Internet: "atoll-sandbox-allow-ipv4-internet-egress",
  ipv6Internet: "atoll-sandbox-allow-ipv6-internet-egress",
  clusterDns: "atoll-sandbox-allow-cluster-dns",
} as const;

/** The operator's trial of the cluster's network policies, in the system namespace: two pods and a policy. */
export const NETWORK_TRIAL = {
  policy: "atoll-network-check",
  server: "atoll-network-check-server",
  client: "atoll-network-check-client",
  /** The only label of its pods: `server` or `client`. Nothing else selects by it. */
  label: "atoll.run/network-check",
} as const;

/** Labels by which policies know the gateway's pods: the installation puts them there. */
export const GATEWAY_POD_LABELS: Readonly<Record<string, string>> = {
  [LABEL.name]: GATEWAY_NAME,
  [LABEL.partOf]: "atoll",
};

/** Name of a sandbox's pod. */
export function podName(sandbox: string): string {
  return `${sandbox}-pod`;
}

/** Name of the network policy that a sandbox has for itself. */
export function customPolicyName(sandbox: string): string {
  return `${sandbox}-custom-netpol`;
}

/** One sandbox by the names under which a mounter keeps and answers for it. */
export interface RestoreOwner {
  readonly namespace: string;
  readonly sandboxUid: string;
}

/** Host path of the archive that a container starts from; no other sandbox has it. */
export function restorePath(folder: string, { namespace, sandboxUid }: RestoreOwner, container: string): string {
  return `${folder}/${namespace}/${sandboxUid}/${container}.tar`;
}

/** What kubelet asks the mounter before it starts the containers of a sandbox: answered when all archives are there. */
export function restoreProbePath({ namespace, sandboxUid }: RestoreOwner): string {
  return `/v1/restores/${namespace}/${sandboxUid}`;
}

/** What kubelet asks the mounter before it stops a container that is to be saved: answered when it may stop. */
export function stopHookPath({ namespace, sandboxUid }: RestoreOwner): string {
  return `/v1/stops/${namespace}/${sandboxUid}`;
}
