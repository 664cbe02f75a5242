import { container, type Draft } from "./fence-stage.ts";

const capabilities = (...add: string[]): Draft => ({ securityContext: { capabilities: { add } } });
const one = (members: Draft): Draft => ({ containers: [container(members)] });
const volume = (source: Draft): Draft => ({ volumes: [{ name: "v", ...source }] });

/** What leads out of a sandbox, in a pod or in a template: nobody gets it. */
export const ATTACKS: readonly (readonly [string, Draft, string])[] = [
  ["the node's network", { hostNetwork: true }, "hostNetwork is not allowed"],
  ["the node's processes", { hostPID: true, shareProcessNamespace: false }, "hostPID is not allowed"],
  ["the node's interprocess communication", { hostIPC: true }, "hostIPC is not allowed"],
  ["the node's users", { hostUsers: true }, "hostUsers is not allowed"],
  ["a node of choice", { nodeName: "node1" }, "nodeName is not allowed"],
  [
    "a system priority",
    { priorityClassName: "system-node-critical" },
    "priorityClassName is not allowed to begin with system-",
  ],
  ["a claimed device", { resourceClaims: [{ name: "gpu", resourceClaimName: "x" }] }, "resourceClaims is not allowed"],
  ["a folder of the node", volume({ hostPath: { path: "/" } }), "v: volumes are allowed of these kinds only"],
  [
    "the node's container engine",
    volume({ hostPath: { path: "/run/containerd/containerd.sock", type: "Socket" } }),
    "v: volumes are allowed",
  ],
  [
    "a network file system, mounted by the node",
    volume({ nfs: { server: "10.0.0.1", path: "/" } }),
    "v: volumes are allowed",
  ],
  ["a plug-in of kubelet", volume({ flexVolume: { driver: "a/b" } }), "v: volumes are allowed"],
  [
    "a block device over the network",
    volume({ iscsi: { targetPortal: "10.0.0.1", iqn: "iqn.2001-04.com.example:storage", lun: 0 } }),
    "v: volumes are allowed",
  ],
  [
    "a repository that kubelet clones",
    volume({ gitRepo: { repository: "https://example.org/x" } }),
    "v: volumes are allowed",
  ],
  [
    "a token of the service account",
    volume({ projected: { sources: [{ configMap: { name: "a" } }, { serviceAccountToken: { path: "token" } }] } }),
    "v: a volume with a service account's token",
  ],
  [
    "sysctls",
    { securityContext: { sysctls: [{ name: "net.ipv4.ip_forward", value: "1" }] } },
    "sysctls are not allowed",
  ],
  [
    "no seccomp for the pod",
    { securityContext: { seccompProfile: { type: "Unconfined" } } },
    "seccompProfile Unconfined is not allowed",
  ],
  [
    "no AppArmor for the pod",
    { securityContext: { appArmorProfile: { type: "Unconfined" } } },
    "appArmorProfile Unconfined is not allowed",
  ],
  [
    "an SELinux type for the pod",
    { securityContext: { seLinuxOptions: { type: "spc_t" } } },
    "seLinuxOptions may set the level only",
  ],
  [
    "Windows options for the pod",
    { securityContext: { windowsOptions: { runAsUserName: "a" } } },
    "windowsOptions are not allowed",
  ],
  ["a privileged container", one({ securityContext: { privileged: true } }), "user: privileged is not allowed"],
  [
    "a privileged init container",
    { initContainers: [container({ name: "init", securityContext: { privileged: true } })] },
    "init: privileged is not allowed",
  ],
  ...["SYS_ADMIN", "SYS_PTRACE", "NET_ADMIN", "BPF", "ALL", "CAP_SYS_ADMIN", "sys_admin"].map(
    (name) =>
      [
        `the capability ${name}`,
        one(capabilities("CHOWN", name)),
        "user: capabilities may be added of these only: AUDIT_WRITE",
      ] as const,
  ),
  [
    "an unmasked /proc",
    { hostUsers: false, ...one({ securityContext: { procMount: "Unmasked" } }) },
    "user: procMount is not allowed",
  ],
  [
    "no seccomp",
    one({ securityContext: { seccompProfile: { type: "Unconfined" } } }),
    "user: seccompProfile Unconfined",
  ],
  [
    "no AppArmor",
    one({ securityContext: { appArmorProfile: { type: "Unconfined" } } }),
    "user: appArmorProfile Unconfined",
  ],
  [
    "an SELinux role",
    one({ securityContext: { seLinuxOptions: { role: "r" } } }),
    "user: seLinuxOptions may set the level only",
  ],
  [
    "Windows options",
    one({ securityContext: { windowsOptions: { runAsUserName: "a" } } }),
    "user: windowsOptions are not allowed",
  ],
  ["a port of the node", one({ ports: [{ containerPort: 80, hostPort: 80 }] }), "user: hostPort is not allowed"],
  [
    "a raw device",
    {
      ...volume({ persistentVolumeClaim: { claimName: "c" } }),
      ...one({ volumeDevices: [{ name: "v", devicePath: "/dev/x" }] }),
    },
    "user: volumeDevices are not allowed",
  ],
  ...["livenessProbe", "readinessProbe", "startupProbe"].map(
    (probe) =>
      [
        `a request by the node as ${probe}`,
        one({ [probe]: { httpGet: { host: "169.254.169.254", port: 80 } } }),
        "user: a probe or lifecycle hook with a host is not allowed",
      ] as const,
  ),
  [
    "a connection by the node",
    one({ livenessProbe: { tcpSocket: { host: "127.0.0.1", port: 10_250 } } }),
    "user: a probe or lifecycle hook with a host",
  ],
  ...["postStart", "preStop"].map(
    (hook) =>
      [
        `a request by the node as ${hook}`,
        one({ lifecycle: { [hook]: { httpGet: { host: "127.0.0.1", port: 10_255 } } } }),
        "user: a probe or lifecycle hook with a host",
      ] as const,
  ),
];

/** Words to network plug-ins and container engines. */
export const ENGINE_ANNOTATIONS: readonly (readonly [string, string])[] = [
  ["k8s.v1.cni.cncf.io/networks", "other-network"],
  ["cni.projectcalico.org/ipAddrs", '["10.0.0.1"]'],
  ["io.kubernetes.cri-o.Devices", "/dev/kvm"],
  ["cdi.k8s.io/gpu", "vendor.example/gpu=0"],
];
