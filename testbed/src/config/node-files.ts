import { BOX, NETWORK, NODE_NAME, PORTS, REGISTRY } from "../layout.ts";
import { PAUSE_IMAGE } from "../images.ts";

/** A file by its path below a folder. */
export type Files = Readonly<Record<string, string>>;

/** What lies in `/etc` of the box as on any node; it changes there only. */
export function renderEtc(facts: { mayLowerOomScore: boolean }): Files {
  return {
    "containerd/config.toml": renderContainerdConfig(facts),
    [`containerd/certs.d/${REGISTRY}/hosts.toml`]: renderRegistryHosts(),
    // Names without a host mean docker.io: what the local registry has under such a name is taken there.
    "containerd/certs.d/docker.io/hosts.toml": `server = "https://registry-1.docker.io"\n\n${renderRegistryHosts()}`,
    "cni/net.d/10-testbed.conflist": json(renderCni()),
    hosts: `127.0.0.1 localhost\n${NETWORK.nodeIp} ${NODE_NAME}\n`,
    hostname: `${NODE_NAME}\n`,
    // No resolver outside of the cluster can be reached; a refusal at once is better than a wait.
    "resolv.conf": "nameserver 127.0.0.1\n",
  };
}

/** What the components read in their own folder. */
export function renderComponentFiles(): Files {
  return {
    "kubelet.yaml": json(renderKubelet()),
    "kube-proxy.yaml": json(renderKubeProxy()),
    "registry.yaml": json(renderRegistry()),
  };
}

/** A node without gVisor: the platform's own installer adds what it needs. */
function renderContainerdConfig({ mayLowerOomScore }: { mayLowerOomScore: boolean }): string {
  return `version = 3
root = "${BOX.containerdRoot}"
state = "/run/containerd"

[grpc]
  address = "${BOX.containerdSocket}"

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '${PAUSE_IMAGE}'

[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "${BOX.registryHosts}"

[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = true
  restrict_oom_score_adj = ${!mayLowerOomScore}

[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["${BOX.cniPrograms}"]
  conf_dir = "${BOX.cniConfig}"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
`;
}

function renderRegistryHosts(): string {
  return `[host."http://${REGISTRY}"]\n  capabilities = ["pull", "resolve"]\n`;
}

/** Point-to-point links and routes: it enforces no NetworkPolicy. Masquerading is one rule of the node's, not one for each pod. */
function renderCni(): object {
  const ipam = {
    type: "host-local",
    ranges: [[{ subnet: NETWORK.podCidr }]],
    routes: [{ dst: "0.0.0.0/0" }],
    dataDir: "/run/cni-addresses",
  };
  const plugins = [
    { type: "ptp", ipMasq: false, ipam },
    { type: "portmap", capabilities: { portMappings: true } },
  ];
  return { cniVersion: "1.0.0", name: "testbed", plugins };
}

function renderKubelet(): object {
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: `${BOX.config}/pki/ca.crt` },
    },
    authorization: { mode: "Webhook" },
    cgroupDriver: "cgroupfs",
    clusterDNS: [NETWORK.dnsServiceIp],
    clusterDomain: NETWORK.clusterDomain,
    containerRuntimeEndpoint: `unix://${BOX.containerdSocket}`,
    enforceNodeAllocatable: [],
    evictionHard: { "memory.available": "100Mi", "nodefs.available": "1%" },
    failCgroupV1: false,
    failSwapOn: false,
    // One node for everything: what protects an API server that many nodes share only slows it down.
    kubeAPIQPS: 200,
    kubeAPIBurst: 400,
    eventRecordQPS: 0,
    registryPullQPS: 0,
    serializeImagePulls: false,
    maxPods: 500,
    // Tests kill programs again and again, and want them back at once each time.
    featureGates: { KubeletCrashLoopBackOffMax: true },
    crashLoopBackOff: { maxContainerRestartPeriod: "2s" },
    resolvConf: "/etc/resolv.conf",
    tlsCertFile: `${BOX.config}/pki/kubelet.crt`,
    tlsPrivateKeyFile: `${BOX.config}/pki/kubelet.key`,
  };
}

function renderKubeProxy(): object {
  return {
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    mode: "iptables",
    clientConnection: { kubeconfig: `${BOX.config}/pki/kube-proxy.kubeconfig` },
    clusterCIDR: NETWORK.podCidr,
    // The kernel's table of connections is the whole machine's.
    conntrack: { maxPerCore: 0 },
    hostnameOverride: NODE_NAME,
    iptables: { minSyncPeriod: "100ms" },
  };
}

function renderRegistry(): object {
  return {
    version: "0.1",
    storage: { filesystem: { rootdirectory: "/var/lib/registry" }, delete: { enabled: true } },
    http: { addr: `0.0.0.0:${PORTS.registry}` },
    log: { level: "warn", accesslog: { disabled: true } },
  };
}

/** JSON is YAML as well. */
function json(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
