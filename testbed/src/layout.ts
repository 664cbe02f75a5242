/** Where everything of a testbed lies on the machine, and how it is addressed. */
export interface Layout {
  /** Folder of the testbed, absolute. */
  readonly root: string;
  /** Finished programs, one folder for each recipe; kept by `down`. */
  readonly programs: string;
  /** Links to the programs in use: a folder for a search path. */
  readonly bin: string;
  /** Links to runsc and its shim, for the node installer's image; not on the node's search path. */
  readonly gvisor: string;
  /** What the local registry holds when a cluster starts; kept by `down`. */
  readonly images: string;
  /** The cluster that is up; `down` removes it. */
  readonly state: string;
  /** Logs of the latest cluster; the next `up` removes them. */
  readonly logs: string;
  readonly kubeconfig: string;
  /** Unix socket of the supervisor of the components. */
  readonly controlSocket: string;
}

export function createLayout(root: string): Layout {
  return {
    root,
    programs: `${root}/programs`,
    bin: `${root}/bin`,
    gvisor: `${root}/gvisor`,
    images: `${root}/images`,
    state: `${root}/state`,
    logs: `${root}/log`,
    kubeconfig: `${root}/state/admin.kubeconfig`,
    controlSocket: `${root}/state/control.sock`,
  };
}

/** Names and addresses that a machine has only once: there is one testbed at a time. */
export const NETWORK = {
  /** The machine's end of the link into the box. */
  link: "testbed0",
  hostIp: "10.80.0.1",
  nodeIp: "10.80.0.2",
  nodePrefix: 30,
  podCidr: "10.81.0.0/20",
  serviceCidr: "10.82.0.0/16",
  apiServerServiceIp: "10.82.0.1",
  dnsServiceIp: "10.82.0.10",
  clusterDomain: "cluster.local",
} as const;

export const NODE_NAME = "atoll-node";

/** Name of the control group, in each hierarchy, of all that runs in the box. */
export const CGROUP = "atoll-testbed";

/** Where a process notes the testbed that is up: one place for the machine, whatever its folder is. */
export const RECORD_FILE = "/run/atoll-testbed.json";

export const PORTS = { apiServer: 6443, etcd: 2379, registry: 5000 } as const;

export const API_SERVER_URL = `https://${NETWORK.nodeIp}:${PORTS.apiServer}`;

/** Host of image references inside the cluster; containerd speaks plain HTTP to it. */
export const REGISTRY = `localhost:${PORTS.registry}`;

/** The same registry, for pushes from the machine. */
export const REGISTRY_FROM_HOST = `${NETWORK.nodeIp}:${PORTS.registry}`;

/** Paths inside the box, where a node of any distribution has them. */
export const BOX = {
  programs: "/opt/testbed/bin",
  cniPrograms: "/opt/cni/bin",
  config: "/etc/testbed",
  containerdConfig: "/etc/containerd/config.toml",
  registryHosts: "/etc/containerd/certs.d",
  containerdSocket: "/run/containerd/containerd.sock",
  cniConfig: "/etc/cni/net.d",
  kubeletRoot: "/var/lib/kubelet",
  containerdRoot: "/var/lib/containerd",
  searchPath: "/usr/local/sbin:/usr/local/bin:/opt/testbed/bin:/usr/sbin:/usr/bin:/sbin:/bin",
} as const;
