import { AGENT_COMMAND, AGENT_FILES } from "#sidecar/manifest.ts";

export const PROGRAM_NAMES = ["gateway", "operator", "sidecar", "installer", "mounter"] as const;
export type ProgramName = (typeof PROGRAM_NAMES)[number];

/** What an image holds and how it starts. Its Dockerfile says the same of `user`, `entrypoint` and `workingDir`; a test compares them. */
export interface Program {
  readonly title: string;
  /** Program of the runtime, in the image. */
  readonly runtime: { readonly kind: "bun" | "node"; readonly path: string };
  /** Source of the bundle, and where the bundle lies in the image. */
  readonly entry: string;
  readonly bundle: string;
  readonly user: "0:0" | "65532:65532";
  readonly entrypoint: readonly string[];
  /** Empty folders that the program writes to. */
  readonly folders: readonly string[];
  readonly port?: number;
}

const BUN = { kind: "bun", path: AGENT_FILES.runtime } as const;
const NODE = { kind: "node", path: "/bin/node" } as const;
const NONROOT = "65532:65532";

export const PROGRAMS: Readonly<Record<ProgramName, Program>> = {
  gateway: {
    title: "Atoll's gateway: sandboxes behind a REST API",
    runtime: BUN,
    entry: "runtime/src/entry/bun.ts",
    bundle: "/opt/atoll/gateway.js",
    user: NONROOT,
    entrypoint: [BUN.path, "/opt/atoll/gateway.js"],
    folders: [],
    port: 8080,
  },
  operator: {
    title: "Atoll's operator: sandboxes as objects of Kubernetes",
    runtime: NODE,
    entry: "operator/src/entry/main.ts",
    bundle: "/opt/atoll/operator.js",
    user: NONROOT,
    entrypoint: [NODE.path, "/opt/atoll/operator.js"],
    folders: [],
  },
  sidecar: {
    title: "Atoll's agent: commands and files inside a sandbox",
    runtime: BUN,
    entry: "sidecar/src/entry/main.ts",
    bundle: AGENT_FILES.program,
    // It enters the roots of the other containers and becomes their users.
    user: "0:0",
    entrypoint: AGENT_COMMAND,
    folders: ["/run/atoll", "/var/lib/atoll/journal"],
  },
  installer: {
    title: "Atoll's installer: gVisor on each node",
    runtime: NODE,
    entry: "infra/installer/src/entry/main.ts",
    bundle: "/opt/atoll/installer.js",
    // It writes to the node's file system and enters its namespaces.
    user: "0:0",
    entrypoint: [NODE.path, "/opt/atoll/installer.js"],
    folders: [],
  },
  mounter: {
    title: "Atoll's mounter: snapshots of sandboxes, taken and restored on each node",
    runtime: NODE,
    entry: "mounter/src/entry/main.ts",
    bundle: "/opt/atoll/mounter.js",
    // The state of gVisor's containers is root's, and so are the archives that their kernels read. It needs no capability.
    user: "0:0",
    entrypoint: [NODE.path, "/opt/atoll/mounter.js"],
    folders: [],
  },
};
