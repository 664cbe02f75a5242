import { releaseOfModule, RUNSC_MODULE_VERSION } from "#cli/setup/runsc-release.ts";
import { VERSIONS } from "./versions.ts";

/** Go packages that are built together, from the Go module proxy and at exact versions. */
export interface GoRecipe {
  /** Kebab-case; also the folder's name. */
  readonly name: string;
  readonly title: string;
  readonly module: string;
  readonly version: string;
  /** Program name to package. */
  readonly programs: Readonly<Record<string, string>>;
  readonly how: GoBuild;
  readonly flags: readonly string[];
  /** Packages that are compiled on an empty cache, for the display. */
  readonly typicalPackages: number;
}

export type GoBuild =
  /** The module's own list of dependencies. */
  | { readonly kind: "install" }
  /** A module around it that replaces its neighbours in the source tree by their versions. */
  | { readonly kind: "staged"; readonly mains: Readonly<Record<string, string>> }
  /** A module around it, with a source file of its own. */
  | { readonly kind: "main"; readonly mains: Readonly<Record<string, string>> }
  /** A module around it whose sources are copied, and changed before the build. */
  | { readonly kind: "patched"; readonly file: string; readonly from: string; readonly to: string };

const STRIPPED = ["-ldflags", "-s -w"] as const;
const KUBERNETES_PROGRAMS = [
  "kube-apiserver",
  "kube-controller-manager",
  "kube-scheduler",
  "kubelet",
  "kube-proxy",
  "kubectl",
] as const;

/** kubelet, control plane and etcd, which is a library of the same dependencies. */
function kubernetes(): GoRecipe {
  const version = VERSIONS.kubernetes;
  const [, minor = ""] = /^v1\.(\d+)\./.exec(version) ?? [];
  const field = (name: string, value: string): string => `-X k8s.io/component-base/version.${name}=${value}`;
  const stamp = [field("gitVersion", version), field("gitMajor", "1"), field("gitMinor", minor)].join(" ");
  return {
    name: "kubernetes",
    title: `Kubernetes ${version}`,
    module: "k8s.io/kubernetes",
    version,
    programs: {
      ...Object.fromEntries(KUBERNETES_PROGRAMS.map((name) => [name, `k8s.io/kubernetes/cmd/${name}`])),
      etcd: "./etcd",
    },
    how: {
      kind: "staged",
      mains: {
        etcd: goMain({ imports: ["os", "go.etcd.io/etcd/server/v3/etcdmain"], body: "etcdmain.Main(os.Args)" }),
      },
    },
    flags: ["-ldflags", `-s -w ${stamp}`],
    typicalPackages: 2760,
  };
}

const DNS_PLUGINS = [
  "cache",
  "errors",
  "health",
  "hosts",
  "kubernetes",
  "loadbalance",
  "metrics",
  "ready",
  "reload",
  "template",
] as const;

/** The plugins that a cluster needs: all of them bring the client libraries of three clouds. */
function coredns(): GoRecipe {
  const module = "github.com/coredns/coredns";
  const blank = DNS_PLUGINS.map((name) => `${module}/plugin/${name}`);
  return {
    name: "coredns",
    title: `CoreDNS ${VERSIONS.coredns}`,
    module,
    version: VERSIONS.coredns,
    programs: { coredns: "./coredns" },
    how: {
      kind: "main",
      mains: { coredns: goMain({ imports: [`${module}/coremain`], blank, body: "coremain.Run()" }) },
    },
    flags: STRIPPED,
    typicalPackages: 1000,
  };
}

function containerd(): GoRecipe {
  const module = "github.com/containerd/containerd/v2";
  const names = ["containerd", "containerd-shim-runc-v2", "ctr"];
  return {
    name: "containerd",
    title: `containerd ${VERSIONS.containerd}`,
    module,
    version: VERSIONS.containerd,
    programs: Object.fromEntries(names.map((name) => [name, `${module}/cmd/${name}`])),
    how: { kind: "install" },
    flags: ["-tags", "no_btrfs,no_devmapper,no_zfs", ...STRIPPED],
    typicalPackages: 800,
  };
}

function cniPlugins(): GoRecipe {
  const module = "github.com/containernetworking/plugins";
  const paths = ["main/ptp", "main/loopback", "ipam/host-local", "meta/portmap"];
  return {
    name: "cni-plugins",
    title: `CNI plugins ${VERSIONS.cniPlugins}`,
    module,
    version: VERSIONS.cniPlugins,
    programs: Object.fromEntries(paths.map((path) => [path.split("/")[1] ?? path, `${module}/plugins/${path}`])),
    how: { kind: "install" },
    flags: STRIPPED,
    typicalPackages: 200,
  };
}

function single(name: string, title: string, module: string, version: string, typicalPackages: number): GoRecipe {
  const programs = { [name]: `${module}/cmd/${name}` };
  return {
    name,
    title: `${title} ${version}`,
    module,
    version,
    programs,
    how: { kind: "install" },
    flags: STRIPPED,
    typicalPackages,
  };
}

/**
 * runsc and its shim, which the platform's own installer brings to the node. A machine that may not
 * lower the score by which the kernel chooses whom to kill needs a shim that does not try.
 */
export function gvisorRecipe(mayLowerOomScore: boolean): GoRecipe {
  const module = "gvisor.dev/gvisor";
  const release = releaseOfModule(RUNSC_MODULE_VERSION);
  return {
    name: "gvisor",
    title: `gVisor ${release} for the node installer`,
    module,
    version: RUNSC_MODULE_VERSION,
    programs: { runsc: `${module}/runsc`, "containerd-shim-runsc-v1": `${module}/shim` },
    how: mayLowerOomScore
      ? { kind: "main", mains: {} }
      : {
          kind: "patched",
          file: `${module}/pkg/shim/v1/manager.go`,
          from: "oomScoreMax = -999",
          to: "oomScoreMax = 0",
        },
    flags: ["-trimpath", "-ldflags", `-s -w -X ${module}/runsc/version.version=${release}`],
    typicalPackages: 700,
  };
}

/** What runs on the node from the start. */
export const NODE_RECIPES: readonly GoRecipe[] = [
  kubernetes(),
  containerd(),
  cniPlugins(),
  coredns(),
  single("registry", "Registry", "github.com/distribution/distribution/v3", VERSIONS.registry, 400),
];

/** What only some tests need; built when they ask for it. */
export const TEST_RECIPES: readonly GoRecipe[] = [
  single("kwok", "kwok", "sigs.k8s.io/kwok", VERSIONS.kwok, 900),
  single("cyclonus", "Cyclonus", "github.com/mattfenwick/cyclonus", VERSIONS.cyclonus, 700),
];

/** Object stores on this machine, for the tests that run against real ones. */
export const STORE_RECIPES: readonly GoRecipe[] = [
  single("versitygw", "Versity S3 Gateway", "github.com/versity/versitygw", VERSIONS.versitygw, 410),
  {
    ...single("fake-gcs-server", "fake-gcs-server", "github.com/fsouza/fake-gcs-server", VERSIONS.fakeGcsServer, 560),
    programs: { "fake-gcs-server": "github.com/fsouza/fake-gcs-server" },
  },
];

/** Source of a program that calls a library. */
function goMain(program: { imports: readonly string[]; blank?: readonly string[]; body: string }): string {
  const lines = [
    ...program.imports.map((path) => `\t${JSON.stringify(path)}`),
    ...(program.blank ?? []).map((path) => `\t_ ${JSON.stringify(path)}`),
  ];
  return `package main\n\nimport (\n${lines.join("\n")}\n)\n\nfunc main() { ${program.body} }\n`;
}
