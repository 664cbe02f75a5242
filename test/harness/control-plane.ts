import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { get } from "node:https";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createLayout } from "#testbed/layout.ts";
import { findBox } from "#testbed/node/box.ts";
import { makeCertificates } from "#testbed/node/certificates.ts";

const START_MS = 60_000;
const POLL_MS = 100;

/** An etcd and an API server of one test alone, which may therefore kill them. */
export interface ControlPlane {
  /** The administrator's. */
  readonly kubeconfig: string;
  start(program: "etcd" | "kube-apiserver"): Promise<void>;
  /** kill -9. */
  kill(program: "etcd" | "kube-apiserver"): Promise<void>;
  /** Makes etcd forget all but the present state. */
  compact(): Promise<void>;
  dispose(): Promise<void>;
}

/** Starts both, with the programs of the testbed that is up, else those on the search path. */
export async function startControlPlane(): Promise<ControlPlane> {
  const folder = await mkdtemp(join(tmpdir(), "atoll-control-plane-"));
  const [api, etcd, peer] = await freePorts(3);
  await makeCertificates(folder, AbortSignal.timeout(START_MS));
  const kubeconfig = await renderKubeconfig(folder, api);
  const box = await findBox();
  const path = [...(box === undefined ? [] : [createLayout(box.root).bin]), process.env["PATH"]].join(delimiter);
  const etcdUrl = `http://127.0.0.1:${etcd}`;
  const commands = {
    etcd: etcdCommand(folder, etcdUrl, peer),
    "kube-apiserver": apiServerCommand(folder, etcdUrl, api),
  };
  const running = new Map<string, ChildProcess>();

  const kill = async (program: string): Promise<void> => {
    const child = running.get(program);
    running.delete(program);
    if (child === undefined || child.exitCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  };
  const plane: ControlPlane = {
    kubeconfig,
    async start(program) {
      const child = spawn(program, commands[program], { stdio: "ignore", env: { ...process.env, PATH: path } });
      running.set(program, child);
      await untilReady(child, program, program === "etcd" ? `${etcdUrl}/health` : `https://127.0.0.1:${api}/readyz`);
    },
    kill,
    async compact() {
      const ask = async (what: string, body: object): Promise<{ header: { revision: string } }> =>
        (await fetch(`${etcdUrl}/v3/kv/${what}`, { method: "POST", body: JSON.stringify(body) })).json();
      const { header } = await ask("range", { key: btoa("/") });
      await ask("compaction", { revision: header.revision, physical: true });
    },
    async dispose() {
      await kill("kube-apiserver");
      await kill("etcd");
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

async function renderKubeconfig(folder: string, port: number | undefined): Promise<string> {
  const path = join(folder, "admin.kubeconfig");
  const config = JSON.parse(await readFile(path, "utf8")) as { clusters: { cluster: { server: string } }[] };
  for (const { cluster } of config.clusters) cluster.server = `https://127.0.0.1:${port}`;
  await writeFile(path, JSON.stringify(config));
  return path;
}

function etcdCommand(folder: string, url: string, peerPort: number | undefined): string[] {
  const peer = `http://127.0.0.1:${peerPort}`;
  return [
    `--data-dir=${folder}/etcd`,
    "--unsafe-no-fsync",
    `--listen-client-urls=${url}`,
    `--advertise-client-urls=${url}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    "--log-level=error",
  ];
}

function apiServerCommand(folder: string, etcdUrl: string, port: number | undefined): string[] {
  return [
    `--etcd-servers=${etcdUrl}`,
    "--service-cluster-ip-range=10.0.0.0/24",
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

async function untilReady(child: ChildProcess, program: string, url: string): Promise<void> {
  const isHttps = url.startsWith("https:");
  for (const untilMs = performance.now() + START_MS; performance.now() < untilMs; await sleep(POLL_MS)) {
    if (child.exitCode !== null) throw new Error(`${program} ended at once with code ${child.exitCode}`);
    // Anybody may ask whether an API server is ready; who it is shows later, with its certificate.
    if (
      await (isHttps
        ? answersHttps(url)
        : fetch(url).then(
            ({ ok }) => ok,
            () => false,
          ))
    )
      return;
  }
  throw new Error(`${program} is not ready after ${START_MS} ms`);
}

async function answersHttps(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asking = get(url, { rejectUnauthorized: false, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    asking.on("error", () => resolve(false));
  });
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
