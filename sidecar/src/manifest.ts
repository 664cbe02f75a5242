import * as z from "zod";
import { AGENT_PORT } from "#core/kubernetes/names.ts";

export { CONTAINER_MARK } from "./container-mark.ts";

const MIB = 1 << 20;
const count = (fallback: number, least: number, most: number) =>
  z.coerce.number().int().min(least).max(most).default(fallback);

/** Environment of the agent: what starts the program renders it; the program reads the same by `read-environment.ts`. */
export const AgentEnvironment = z.object({
  /** What tokens must name: the sandbox this agent belongs to. */
  ATOLL_AGENT_ID: z.string().min(1).max(253),
  /** Raw Ed25519 public key, base64url, of the gateway whose tokens are accepted. */
  ATOLL_GATEWAY_PUBLIC_KEY: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  /** Base64url, what the agent proves itself with (`core/agent-proof.ts`); absent = it proves nothing. */
  ATOLL_AGENT_KEY: z
    .string()
    .regex(/^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/)
    .optional(),
  /** `unix:/path` or `host:port`; an IPv6 address stands as it is. */
  ATOLL_AGENT_LISTEN: z.union([z.string().regex(/^unix:\/.+$/), z.string().regex(/^[^/]+:\d{1,5}$/)]),
  /** Where output is kept: on the agent's own disk, outside every container's root. */
  ATOLL_JOURNAL_DIR: z.string().startsWith("/").default("/var/lib/atoll/journal"),
  /** Most bytes of output kept for all commands of the sandbox together. Charged to the agent's disk, not to the user's. */
  ATOLL_JOURNAL_BUDGET_BYTES: count(1024 * MIB, MIB, Number.MAX_SAFE_INTEGER),
  /** Most commands remembered; beyond it the oldest ended ones are forgotten with their output. */
  ATOLL_MAX_COMMANDS: count(4096, 1, 65_536),
  /** Most tasks of one container; 0 = no limit of ours. Needs control groups of version 2 in the guest. */
  ATOLL_PIDS_LIMIT: count(0, 0, 4_000_000),
  /** Most output streams and file transfers served at once. */
  ATOLL_MAX_STREAMS: count(256, 1, 4096),
  /** The native part, built from `sidecar/native`. */
  ATOLL_AGENT_LIBRARY: z.string().startsWith("/").default("/opt/atoll/libatoll.so"),
  ATOLL_LOG_LEVEL: z.enum(["debug", "info", "warn", "error"]).default("info"),
});

export type AgentEnvironment = z.infer<typeof AgentEnvironment>;

/**
 * Environment of the agent in a pod: it listens on the pod's own address. Not on all addresses:
 * beside such a listener gVisor lets any process of the sandbox listen on the pod's address too,
 * and that one would get the gateway's requests, tokens and all. One address is taken only once.
 */
export const POD_LISTEN_ENVIRONMENT = [
  { name: "ATOLL_POD_IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
  { name: "ATOLL_AGENT_LISTEN", value: `$(ATOLL_POD_IP):${AGENT_PORT}` },
] as const;

/** Where the parts lie in the agent's root file system; `sidecar/build.ts` puts them there. */
export const AGENT_FILES = {
  runtime: "/bin/bun",
  supervisor: "/sbin/atoll-init",
  program: "/opt/atoll/agent.js",
  library: "/opt/atoll/libatoll.so",
  /** Run by who takes snapshots: says what gVisor leaves out of them. */
  losses: "/sbin/atoll-losses",
} as const;

/** Process of the agent's container: the supervisor, which starts and restarts the program and reaps orphans. */
export const AGENT_COMMAND: readonly string[] = [
  AGENT_FILES.supervisor,
  AGENT_FILES.runtime,
  "--smol",
  AGENT_FILES.program,
];

/**
 * Capabilities without effect in gVisor. Each container of a sandbox gets three of them, a set
 * of its own: the kernel lets root look into another container's processes only with all of the
 * other's capabilities, so none looks into a sibling. The agent holds all.
 */
export const SIBLING_MARKS: readonly string[] = [
  "CAP_AUDIT_READ",
  "CAP_BLOCK_SUSPEND",
  "CAP_MAC_ADMIN",
  "CAP_MAC_OVERRIDE",
  "CAP_SYS_PACCT",
  "CAP_WAKE_ALARM",
];

/** Three of the six marks, another three for each of twenty containers: none of the sets holds another. */
export function siblingMarks(index: number): readonly string[] {
  const sets = SIBLING_MARKS.flatMap((first, i) =>
    SIBLING_MARKS.slice(i + 1).flatMap((second, j) =>
      SIBLING_MARKS.slice(i + j + 2).map((third) => [first, second, third]),
    ),
  );
  const marks = sets[index];
  if (marks === undefined) throw new RangeError(`Cannot mark container ${index}: there are marks for ${sets.length}`);
  return marks;
}

/** What container engines give by default. A container may have fewer, never others: its commands get theirs from the agent. */
export const CONTAINER_CAPABILITIES: readonly string[] = [
  "CAP_AUDIT_WRITE",
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_MKNOD",
  "CAP_NET_BIND_SERVICE",
  "CAP_NET_RAW",
  "CAP_SETFCAP",
  "CAP_SETGID",
  "CAP_SETPCAP",
  "CAP_SETUID",
  "CAP_SYS_CHROOT",
];

/**
 * Capabilities of the agent's container: all that a container may have, so that a command
 * can be given exactly its container's, and SYS_PTRACE to enter their roots.
 */
export const AGENT_CAPABILITIES: readonly string[] = [...CONTAINER_CAPABILITIES, "CAP_SYS_PTRACE", ...SIBLING_MARKS];
