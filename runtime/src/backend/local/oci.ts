import { AGENT_CAPABILITIES, CONTAINER_CAPABILITIES, siblingMarks } from "#sidecar/manifest.ts";
import { HOLD_PATH } from "./hold.ts";

/** The parts of an OCI runtime configuration that Atoll writes. Source: OCI runtime specification 1.2. */
export interface OciSpec {
  readonly ociVersion: "1.2.0";
  readonly process: {
    readonly terminal: false;
    readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids?: readonly number[] };
    readonly args: readonly string[];
    readonly env: readonly string[];
    readonly cwd: string;
    readonly capabilities: Readonly<Record<"bounding" | "effective" | "permitted", readonly string[]>>;
    readonly noNewPrivileges: boolean;
    readonly rlimits: readonly { readonly type: string; readonly hard: number; readonly soft: number }[];
  };
  readonly root: { readonly path: string; readonly readonly: false };
  readonly hostname: string;
  readonly mounts: readonly OciMount[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly linux: {
    readonly namespaces: readonly { readonly type: string; readonly path?: string }[];
    readonly cgroupsPath?: string;
    readonly resources?: OciResources;
  };
}

export interface OciMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options?: readonly string[];
}

export interface OciResources {
  readonly memory?: { readonly limit: number };
  readonly cpu?: { readonly quota: number; readonly period: number };
  readonly pids?: { readonly limit: number };
}

/** Files and folders of one boot on the host, as the configurations name them. */
export interface BootPaths {
  /** Network namespace of the sandbox's link. */
  readonly netnsPath: string;
  readonly hostsFile: string;
  readonly resolvFile: string;
  readonly hostnameFile: string;
  /** Folder in which the agent makes its socket. */
  readonly agentDir: string;
  /** Folder for the containers' writable layers. */
  readonly upperDir: string;
}

export interface RootImage {
  readonly erofsPath: string;
  /** An empty folder: the OCI root path, never looked into. */
  readonly emptyRootDir: string;
  /** Archive that fills the container's own layer at its start. */
  readonly upperTarPath?: string;
}

export interface ContainerPlan {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids?: readonly number[] };
  readonly image: RootImage;
  readonly storageBytes: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** gVisor's name for a user container of a sandbox: what a checkpoint asks for, and what tells whose an archive is. */
export function checkpointNameOf(index: number): string {
  return String(index).padStart(3, "0");
}

export const HOSTNAME = "sandbox";
/** Where the agent finds its socket's folder and keeps journals. */
export const AGENT_SOCKET_PATH = "/run/atoll/agent.sock";
export const AGENT_JOURNAL_DIR = "/var/lib/atoll/journal";

/** Period of the processor quota, in microseconds: the kernel's usual one. */
const CPU_PERIOD_US = 100_000;

/** Raw sockets and the audit log are for nobody. */
const WITHHELD: ReadonlySet<string> = new Set(["CAP_AUDIT_WRITE", "CAP_NET_RAW"]);
const USER_CAPABILITIES = CONTAINER_CAPABILITIES.filter((capability) => !WITHHELD.has(capability));

/** Configuration of the sandbox's root container, which holds the agent alone. */
export function agentSpec(
  paths: BootPaths,
  plan: Pick<ContainerPlan, "args" | "env" | "image" | "storageBytes">,
  limits: { readonly cgroupsPath: string; readonly resources: OciResources },
): OciSpec {
  const spec = containerSpec(
    paths,
    { ...plan, cwd: "/", user: { uid: 0, gid: 0 }, annotations: { "io.kubernetes.cri.container-type": "sandbox" } },
    AGENT_CAPABILITIES,
  );
  const socketDir = { destination: "/run/atoll", type: "bind", source: paths.agentDir, options: ["bind", "rw"] };
  return {
    ...spec,
    // The agent sees all groups of the guest and sets their limits; a container sees its own, read-only.
    mounts: [...spec.mounts, socketDir, cgroupMount("rw")],
    linux: {
      ...spec.linux,
      namespaces: [...spec.linux.namespaces, { type: "pid" }],
      cgroupsPath: limits.cgroupsPath,
      resources: limits.resources,
    },
  };
}

/**
 * Configuration of one of the user's containers, which waits for its program; it joins the boot's
 * network and process ids.
 */
export function userSpec(
  paths: BootPaths,
  plan: Omit<ContainerPlan, "args" | "env"> & {
    readonly rootId: string;
    readonly index: number;
    /** The waiting program on the host. */
    readonly holdFile: string;
  },
): OciSpec {
  const name = checkpointNameOf(plan.index);
  const { upperTarPath } = plan.image;
  const annotations = {
    "io.kubernetes.cri.container-type": "container",
    "io.kubernetes.cri.sandbox-id": plan.rootId,
    "io.kubernetes.cri.container-name": name,
    ...(upperTarPath === undefined ? {} : { [`dev.gvisor.tar.rootfs.upper.${name}`]: upperTarPath }),
    ...plan.annotations,
  };
  const spec = containerSpec(paths, { ...plan, args: [HOLD_PATH], env: [], annotations }, [
    ...USER_CAPABILITIES,
    ...siblingMarks(plan.index),
  ]);
  const hold = {
    destination: HOLD_PATH,
    type: "bind",
    source: plan.holdFile,
    options: ["bind", "ro", "nosuid", "nodev"],
  };
  return {
    ...spec,
    mounts: [...spec.mounts, cgroupMount("ro"), hold],
    linux: { ...spec.linux, namespaces: [...spec.linux.namespaces, { type: "cgroup" }] },
  };
}

/** Processor and memory limits in the kernel's terms. */
export function resourcesOf(shape: { cpuMillis?: number; memoryBytes?: number }, hostPids: number): OciResources {
  return {
    ...(shape.memoryBytes === undefined ? {} : { memory: { limit: shape.memoryBytes } }),
    ...(shape.cpuMillis === undefined
      ? {}
      : {
          cpu: { quota: Math.max(1000, Math.round((shape.cpuMillis * CPU_PERIOD_US) / 1000)), period: CPU_PERIOD_US },
        }),
    pids: { limit: hostPids },
  };
}

function containerSpec(paths: BootPaths, plan: ContainerPlan, capabilities: readonly string[]): OciSpec {
  return {
    ociVersion: "1.2.0",
    process: {
      terminal: false,
      user: plan.user,
      args: plan.args,
      env: plan.env,
      cwd: plan.cwd,
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      noNewPrivileges: false,
      rlimits: [{ type: "RLIMIT_NOFILE", hard: 1_048_576, soft: 1_048_576 }],
    },
    root: { path: plan.image.emptyRootDir, readonly: false },
    hostname: HOSTNAME,
    mounts: mountsOf(paths),
    annotations: {
      "dev.gvisor.spec.rootfs.source": plan.image.erofsPath,
      "dev.gvisor.spec.rootfs.type": "erofs",
      // The folder itself comes from the command line; this one only says that the layer lies on disk.
      "dev.gvisor.spec.rootfs.overlay": `dir=${paths.upperDir}`,
      "dev.gvisor.spec.rootfs.options": `size=${plan.storageBytes}`,
      ...plan.annotations,
    },
    linux: {
      namespaces: [{ type: "ipc" }, { type: "uts" }, { type: "mount" }, { type: "network", path: paths.netnsPath }],
    },
  };
}

function cgroupMount(access: "ro" | "rw"): OciMount {
  return {
    destination: "/sys/fs/cgroup",
    type: "cgroup",
    source: "cgroup",
    options: ["nosuid", "noexec", "nodev", access],
  };
}

function mountsOf(paths: BootPaths): OciMount[] {
  const file = (destination: string, source: string): OciMount => ({
    destination,
    type: "bind",
    source,
    options: ["bind", "ro", "nosuid", "nodev", "noexec"],
  });
  return [
    { destination: "/proc", type: "proc", source: "proc" },
    { destination: "/dev", type: "tmpfs", source: "tmpfs" },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "ptmxmode=0666", "mode=0620"],
    },
    { destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["nosuid", "noexec", "nodev", "mode=1777"] },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
    file("/etc/hosts", paths.hostsFile),
    file("/etc/resolv.conf", paths.resolvFile),
    file("/etc/hostname", paths.hostnameFile),
  ];
}
