import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { promisify } from "node:util";
import { generateAgentKeys, signAgentToken } from "#core/agent-token.ts";
import { AGENT_CAPABILITIES, AGENT_COMMAND } from "#sidecar/manifest.ts";
import { assembleAgentRoot, buildAgent } from "../../sidecar/build.ts";
import { claim } from "../harness/claim.ts";
import { BINARIES } from "../harness/runtimes.ts";
import { endSandboxes, sandboxProcesses } from "../harness/strays.ts";
import { until } from "../harness/until.ts";
import { testRootfs } from "../harness/test-rootfs.ts";

const run = promisify(execFile);
const AGENT_ID = "test-sandbox";
const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** What container runtimes give by default. */
const DEFAULT_CAPABILITIES = AGENT_CAPABILITIES.filter((capability) => capability !== "CAP_SYS_PTRACE");

export interface TargetSpec {
  readonly name: string;
  readonly args?: readonly string[];
  readonly env?: readonly string[];
  /** Gives the main process no environment at all, as one that is yet to become its program has. */
  readonly isBare?: boolean;
  readonly cwd?: string;
  readonly user?: { readonly uid: number; readonly gid: number };
  readonly capabilities?: readonly string[];
  readonly noNewPrivileges?: boolean;
}

export interface SandboxOptions {
  readonly targets: readonly TargetSpec[];
  readonly agentEnv?: Readonly<Record<string, string>>;
  /** Disk of the agent's journals, apart from the rest of its root; absent = as much as there is. */
  readonly journalDiskBytes?: number;
}

/** A real gVisor sandbox with the real agent in it, reached over its socket. */
export interface AgentSandbox extends AsyncDisposable {
  readonly directory: string;
  readonly socketPath: string;
  /** Sends a request with a valid token; the answer streams. */
  fetch(path: string, init?: FetchInit): Promise<Response>;
  token(claims?: { agentId?: string; expiresAtMs?: number }): Promise<string>;
  addTarget(target: TargetSpec): Promise<void>;
  /** What runsc calls a target, or the agent's own container. */
  idOf(target?: string): string;
  /** Runs runsc with the sandbox's state directory. */
  runsc(...args: string[]): Promise<string>;
  logs(): Promise<string>;
}

export interface FetchInit {
  readonly method?: string;
  readonly body?: string | Uint8Array | Readable | AsyncIterable<Uint8Array>;
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
  readonly token?: string | null;
}

export async function startSandbox(options: SandboxOptions): Promise<AgentSandbox> {
  const directory = await mkdtemp(join(tmpdir(), "atoll-agent-"));
  claim(directory);
  const keys = await generateAgentKeys();
  const socketDirectory = join(directory, "socket");
  const agentRoot = join(directory, "agent-root");
  for (const path of [socketDirectory, agentRoot, join(directory, "upper"), join(directory, "state")])
    await mkdir(path, { recursive: true });
  await buildAgent(join(directory, "agent"));
  await assembleAgentRoot(agentRoot, {
    agentDir: join(directory, "agent"),
    bunPath: BINARIES.bun,
  });
  const runscPath = process.env["ATOLL_RUNSC"] ?? "/var/lib/atoll/bin/runsc";
  const flags = [
    `--overlay2=root:dir=${join(directory, "upper")}`,
    `--root=${join(directory, "state")}`,
    "--ignore-cgroups",
    "--network=none",
    "--host-uds=create",
  ];
  const logPath = join(directory, "sandbox.log");

  /** The sandbox inherits these descriptors, so they are files and never pipes. */
  async function detached(...args: string[]): Promise<void> {
    await run("sh", ["-c", 'exec "$@" </dev/null >>"$LOG" 2>&1', "sh", runscPath, ...flags, ...args], {
      env: { ...process.env, LOG: logPath },
    });
  }
  const made: string[] = [];
  async function create(id: string, config: object): Promise<void> {
    made.unshift(id);
    const bundle = join(directory, "bundles", id);
    await mkdir(bundle, { recursive: true });
    await writeFile(join(bundle, "config.json"), JSON.stringify(config));
    await detached("create", "--bundle", bundle, id);
    await detached("start", id);
  }

  // runsc takes the beginning of a name for the name, so none may be the beginning of another.
  const name = `atoll-test-${process.pid}-${directory.slice(-6)}`;
  const sandboxId = `${name}-root`;
  const idOf = (target?: string): string => (target === undefined ? sandboxId : `${name}-c-${target}`);
  const env = {
    ATOLL_AGENT_ID: AGENT_ID,
    ATOLL_GATEWAY_PUBLIC_KEY: keys.publicKey,
    ATOLL_AGENT_LISTEN: "unix:/run/atoll/agent.sock",
    AGENT_SECRET: "of-the-agent",
    ...options.agentEnv,
  };
  await create(sandboxId, {
    ...baseSpec(
      agentRoot,
      [...AGENT_COMMAND],
      [PATH, ...Object.entries(env).map(([key, value]) => `${key}=${value}`)],
      AGENT_CAPABILITIES,
      [
        { destination: "/run/atoll", type: "bind", source: socketDirectory, options: ["bind", "rw"] },
        ...(options.journalDiskBytes === undefined ? [] : [journalDisk(options.journalDiskBytes)]),
      ],
    ),
    annotations: { "io.kubernetes.cri.container-type": "sandbox" },
  });
  const socketPath = join(socketDirectory, "agent.sock");
  const token = (claims: { agentId?: string; expiresAtMs?: number } = {}): Promise<string> =>
    signAgentToken(keys.privateKey, { agentId: AGENT_ID, expiresAtMs: Date.now() + 600_000, ...claims });
  const usual = await token();
  const sandbox: AgentSandbox = {
    directory,
    socketPath,
    token,
    fetch: (path, init = {}) => send(socketPath, path, init, init.token === undefined ? usual : init.token),
    async addTarget(target) {
      const rootfs = testRootfs();
      await create(idOf(target.name), await targetSpec(rootfs, target, { sandboxId, directory }));
    },
    idOf,
    runsc: async (...args) => (await run(runscPath, [...flags, ...args])).stdout,
    logs: async () => (await run("cat", [logPath])).stdout,
    async [Symbol.asyncDispose]() {
      const state = join(directory, "state");
      try {
        for (const id of made) await detached("delete", "--force", id).catch(() => undefined);
        if (sandboxProcesses(state).length > 0) throw new Error(`Left behind: ${await sandbox.logs()}`);
      } finally {
        endSandboxes(state);
        await rm(directory, { recursive: true, force: true, maxRetries: 5 });
      }
    },
  };
  try {
    for (const target of options.targets) await sandbox.addTarget(target);
    await untilReady(sandbox, options.targets.length);
  } catch (error) {
    const logs = await sandbox.logs().catch(() => "");
    await sandbox[Symbol.asyncDispose]();
    throw new Error(`Cannot start the sandbox: ${logs}`, { cause: error });
  }
  return sandbox;
}

async function targetSpec(
  rootfs: string,
  target: TargetSpec,
  { sandboxId, directory }: { sandboxId: string; directory: string },
): Promise<object> {
  const isImage = (await stat(rootfs)).isFile();
  const empty = join(directory, "empty");
  await mkdir(empty, { recursive: true });
  const image = isImage
    ? {
        "dev.gvisor.spec.rootfs.source": rootfs,
        "dev.gvisor.spec.rootfs.type": "erofs",
        "dev.gvisor.spec.rootfs.overlay": `dir=${join(directory, "upper")}`,
        "dev.gvisor.spec.rootfs.options": "size=4g",
      }
    : {};
  const env = target.isBare ? [] : [PATH, `ISOLA_CONTAINER_NAME=${target.name}`, ...(target.env ?? [])];
  const hosts = join(directory, "hosts");
  await writeFile(hosts, "127.0.0.1 localhost\n");
  const spec = baseSpec(
    isImage ? empty : rootfs,
    [...(target.args ?? ["/bin/sleep", "infinity"])],
    env,
    target.capabilities ?? DEFAULT_CAPABILITIES,
    [{ destination: "/etc/hosts", type: "bind", source: hosts, options: ["bind", "ro"] }],
  );
  return {
    ...spec,
    process: {
      ...spec.process,
      cwd: target.cwd ?? "/",
      user: target.user ?? { uid: 0, gid: 0 },
      noNewPrivileges: target.noNewPrivileges ?? false,
    },
    annotations: {
      ...image,
      "io.kubernetes.cri.container-type": "container",
      "io.kubernetes.cri.sandbox-id": sandboxId,
    },
  };
}

function journalDisk(bytes: number): object {
  return {
    destination: "/var/lib/atoll/journal",
    type: "tmpfs",
    source: "tmpfs",
    options: [`size=${bytes}`, "mode=0700"],
  };
}

function baseSpec(root: string, args: string[], env: string[], capabilities: readonly string[], mounts: object[]) {
  // One process namespace for all: the containers join the first one's, which is named by its empty path.
  const namespaces = ["ipc", "uts", "mount", "network"].map((type) => ({ type }));
  return {
    ociVersion: "1.0.0",
    process: {
      user: { uid: 0, gid: 0 },
      args,
      env,
      cwd: "/",
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
    },
    root: { path: root, readonly: false },
    hostname: "atoll",
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs" },
      { destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["mode=1777"] },
      ...mounts,
    ],
    linux: { namespaces },
  };
}

function send(socketPath: string, path: string, init: FetchInit, token: string | null): Promise<Response> {
  return new Promise((resolve, reject) => {
    const headers = { ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...init.headers };
    const request = httpRequest({
      socketPath,
      path,
      method: init.method ?? "GET",
      headers,
      agent: false,
      ...(init.signal ? { signal: init.signal } : {}),
    });
    request.on("response", (response) => resolve(toResponse(response)));
    request.on("error", reject);
    if (init.body === undefined || typeof init.body === "string" || init.body instanceof Uint8Array)
      request.end(init.body);
    else
      (init.body instanceof Readable ? init.body : Readable.from(init.body))
        .on("error", (error) => request.destroy(error))
        .pipe(request);
  });
}

function toResponse(response: IncomingMessage): Response {
  const status = response.statusCode ?? 0;
  const headers = Object.entries(response.headers).map(([key, value]): [string, string] => [key, String(value)]);
  if (status === 204) {
    response.resume();
    return new Response(null, { status, headers });
  }
  return new Response(Readable.toWeb(response) as ReadableStream<Uint8Array>, { status, headers });
}

async function untilReady(sandbox: AgentSandbox, containers: number): Promise<void> {
  const found = async (): Promise<number | string> => {
    const health = (await (await sandbox.fetch("/v1/health")).json()) as { containers: unknown[] };
    return health.containers.length;
  };
  await until(
    () => found().catch(String),
    (count) => count === containers,
    { timeoutMs: 20_000 },
  );
}
