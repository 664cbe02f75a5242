import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createLayout } from "#testbed/layout.ts";
import { findBox } from "#testbed/node/box.ts";
import { makeCertificates } from "#testbed/node/certificates.ts";
import { freePorts } from "./free-ports.ts";
import { startLogged, type LoggedProcess } from "./logged-process.ts";
import { untilReady } from "./until-ready.ts";

const START_MS = 60_000;

/** An etcd and an API server of one test alone, which may therefore kill them. */
export interface ControlPlane {
  readonly server: string;
  /** The administrator's. */
  readonly kubeconfig: string;
  start(program: "etcd" | "kube-apiserver"): Promise<void>;
  /** kill -9. */
  kill(program: "etcd" | "kube-apiserver"): Promise<void>;
  /** Starts another program of Kubernetes beside them; it ends with them. */
  run(program: string, args: readonly string[]): void;
  /** Makes etcd forget all but the present state. */
  compact(): Promise<void>;
  dispose(): Promise<void>;
}

export interface ControlPlaneOptions {
  /** Further arguments of the API server. */
  readonly apiServer?: readonly string[];
}

/** Starts both, with the testbed's programs where they are built, else those on the search path. */
export async function startControlPlane({ apiServer = [] }: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const folder = await mkdtemp(join(tmpdir(), "atoll-control-plane-"));
  const ports = await freePorts("api", "etcd", "peer");
  const server = `https://127.0.0.1:${ports.api}`;
  const etcdUrl = `http://127.0.0.1:${ports.etcd}`;
  await makeCertificates(folder, AbortSignal.timeout(START_MS));
  const kubeconfig = await renderKubeconfig(folder, server);
  const PATH = await searchPath();
  const commands = {
    etcd: etcdArguments(folder, etcdUrl, ports.peer),
    "kube-apiserver": [...apiServerArguments(folder, etcdUrl, ports.api), ...apiServer],
  };
  const running = new Map<string, LoggedProcess>();
  const run = (program: string, args: readonly string[]): LoggedProcess => {
    const options = { logPath: join(folder, `${program}.log`), env: { ...process.env, PATH } };
    const child = startLogged([program, ...args], options);
    running.set(program, child);
    return child;
  };
  const plane: ControlPlane = {
    server,
    kubeconfig,
    run,
    async start(program) {
      const child = run(program, commands[program]);
      const url = program === "etcd" ? `${etcdUrl}/health` : `${server}/readyz`;
      await untilReady(url, { who: program, timeoutMs: START_MS, process: child });
    },
    kill: async (program) => running.get(program)?.end("SIGKILL"),
    async compact() {
      const ask = async (what: string, body: object): Promise<{ header: { revision: string } }> =>
        (await fetch(`${etcdUrl}/v3/kv/${what}`, { method: "POST", body: JSON.stringify(body) })).json();
      const { header } = await ask("range", { key: btoa("/") });
      await ask("compaction", { revision: header.revision, physical: true });
    },
    async dispose() {
      for (const child of [...running.values()].toReversed()) await child.end("SIGKILL");
      await rm(folder, { recursive: true, force: true });
    },
  };
  try {
    await plane.start("etcd");
    await plane.start("kube-apiserver");
  } catch (error) {
    await plane.dispose();
    throw error;
  }
  return plane;
}

async function searchPath(): Promise<string> {
  const root = (await findBox())?.root ?? process.env["ATOLL_TESTBED_HOME"] ?? "/var/lib/atoll/testbed";
  return [createLayout(root).bin, process.env["PATH"]].join(delimiter);
}

async function renderKubeconfig(folder: string, server: string): Promise<string> {
  const path = join(folder, "admin.kubeconfig");
  const config = JSON.parse(await readFile(path, "utf8")) as { clusters: { cluster: { server: string } }[] };
  for (const { cluster } of config.clusters) cluster.server = server;
  await writeFile(path, JSON.stringify(config));
  return path;
}

function etcdArguments(folder: string, url: string, peerPort: number): string[] {
  const peer = `http://127.0.0.1:${peerPort}`;
  return [
    `--data-dir=${folder}/etcd`,
    "--unsafe-no-fsync",
    "--quota-backend-bytes=4294967296",
    `--listen-client-urls=${url}`,
    `--advertise-client-urls=${url}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    "--log-level=error",
  ];
}

function apiServerArguments(folder: string, etcdUrl: string, port: number): string[] {
  return [
    `--etcd-servers=${etcdUrl}`,
    "--service-cluster-ip-range=10.96.0.0/16",
    "--bind-address=127.0.0.1",
    "--advertise-address=127.0.0.1",
    "--endpoint-reconciler-type=none",
    `--secure-port=${port}`,
    `--client-ca-file=${folder}/ca.crt`,
    `--tls-cert-file=${folder}/apiserver.crt`,
    `--tls-private-key-file=${folder}/apiserver.key`,
    `--service-account-key-file=${folder}/sa.pub`,
    `--service-account-signing-key-file=${folder}/sa.key`,
    "--service-account-issuer=https://kubernetes.default.svc",
    "--authorization-mode=RBAC",
  ];
}
