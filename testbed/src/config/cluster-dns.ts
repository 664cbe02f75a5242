import { COREDNS_IMAGE } from "../images.ts";
import { NETWORK } from "../layout.ts";

const NAME = "coredns";
const NAMESPACE = "kube-system";
/** By these labels everybody finds a cluster's DNS, network policies among them. */
const LABELS = { "k8s-app": "kube-dns" } as const;

const OWN_ZONES = [NETWORK.clusterDomain, "in-addr.arpa", "ip6.arpa"].join(" ");

/** Other names do not exist: no resolver out there can be reached, and to say so is better than to wait. */
const COREFILE = `(all) {
  errors
  cache 5
  prometheus :9153
}
${OWN_ZONES} {
  import all
  health {
    lameduck 0s
  }
  ready
  loadbalance
  kubernetes ${OWN_ZONES} {
    pods insecure
    ttl 5
  }
}
. {
  import all
  template ANY ANY {
    rcode NXDOMAIN
  }
}
`;

/** The objects of the cluster's DNS. */
export function clusterDns(): object {
  const metadata = { name: NAME, namespace: NAMESPACE };
  return {
    apiVersion: "v1",
    kind: "List",
    items: [
      { apiVersion: "v1", kind: "ServiceAccount", metadata },
      ...permissions(),
      { apiVersion: "v1", kind: "ConfigMap", metadata, data: { Corefile: COREFILE } },
      deployment(),
      service(),
    ],
  };
}

function permissions(): object[] {
  const name = "system:coredns";
  const read = (apiGroups: readonly string[], resources: readonly string[]): object => {
    return { apiGroups, resources, verbs: ["list", "watch"] };
  };
  const rules = [
    read([""], ["services", "pods", "namespaces", "nodes"]),
    read(["discovery.k8s.io"], ["endpointslices"]),
  ];
  const rbac = "rbac.authorization.k8s.io";
  return [
    { apiVersion: `${rbac}/v1`, kind: "ClusterRole", metadata: { name }, rules },
    {
      apiVersion: `${rbac}/v1`,
      kind: "ClusterRoleBinding",
      metadata: { name },
      roleRef: { apiGroup: rbac, kind: "ClusterRole", name },
      subjects: [{ kind: "ServiceAccount", name: NAME, namespace: NAMESPACE }],
    },
  ];
}

function deployment(): object {
  const probe = (path: string, port: number): object => ({ httpGet: { path, port }, periodSeconds: 1 });
  const container = {
    name: NAME,
    image: COREDNS_IMAGE,
    args: ["-conf", "/etc/coredns/Corefile"],
    ports: [
      { name: "dns", containerPort: 53, protocol: "UDP" },
      { name: "dns-tcp", containerPort: 53, protocol: "TCP" },
      { name: "metrics", containerPort: 9153, protocol: "TCP" },
    ],
    volumeMounts: [{ name: "config", mountPath: "/etc/coredns", readOnly: true }],
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { add: ["NET_BIND_SERVICE"], drop: ["ALL"] },
      readOnlyRootFilesystem: true,
    },
    readinessProbe: probe("/ready", 8181),
    livenessProbe: { ...probe("/health", 8080), periodSeconds: 10, failureThreshold: 5 },
  };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: NAME, namespace: NAMESPACE, labels: LABELS },
    spec: {
      replicas: 1,
      selector: { matchLabels: LABELS },
      template: {
        metadata: { labels: LABELS },
        spec: {
          priorityClassName: "system-cluster-critical",
          serviceAccountName: NAME,
          // Its own resolver is never asked.
          dnsPolicy: "Default",
          terminationGracePeriodSeconds: 1,
          containers: [container],
          volumes: [{ name: "config", configMap: { name: NAME } }],
        },
      },
    },
  };
}

function service(): object {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "kube-dns", namespace: NAMESPACE, labels: LABELS },
    spec: {
      clusterIP: NETWORK.dnsServiceIp,
      selector: LABELS,
      ports: [
        { name: "dns", port: 53, protocol: "UDP" },
        { name: "dns-tcp", port: 53, protocol: "TCP" },
        { name: "metrics", port: 9153, protocol: "TCP" },
      ],
    },
  };
}
