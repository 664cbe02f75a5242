import { spawn, type ChildProcess } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createLayout } from "#testbed/layout.ts";
import { freePort } from "../harness/gateway-process.ts";
import { KWOK_STAGES } from "./kwok-stages.ts";

/** Who speaks to the API server: each under a name of its own, so that writes can be told apart. */
export const USERS = ["admin", "atoll-operator", "atoll-gateway", "kwok", "scheduler", "collector"] as const;
export type User = (typeof USERS)[number];

/** A Kubernetes without nodes of its own. */
export interface ControlPlane {
  readonly server: string;
  kubeconfig(user: User): string;
  token(user: User): string;
  readonly auditLog: string;
  stop(): Promise<void>;
}

const READY_MS = 60_000;
const PROGRAMS = createLayout(process.env["ATOLL_TESTBED_HOME"] ?? "/var/lib/atoll/testbed").bin;

export async function startControlPlane(): Promise<ControlPlane> {
  const directory = mkdtempSync(join(tmpdir(), "atoll-scale-"));
  const children = new Map<string, ChildProcess>();
  const [etcdPort, peerPort, apiPort] = [await freePort(), await freePort(), await freePort()];
  const [kcmPort, schedulerPort, kwokPort] = [await freePort(), await freePort(), await freePort()];
  const server = `https://127.0.0.1:${apiPort}`;
  const etcd = `http://127.0.0.1:${etcdPort}`;
  const auditLog = join(directory, "audit.log");
  writeFiles(directory, server);

  const run = (name: string, program: string, args: readonly string[]): void => {
    const log = openSync(join(directory, `${name}.log`), "a");
    children.set(name, spawn(join(PROGRAMS, program), args, { stdio: ["ignore", log, log] }));
    closeSync(log);
  };
  const stop = async (): Promise<void> => {
    for (const [name, child] of [...children].toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill(name === "etcd" ? "SIGTERM" : "SIGKILL");
      await once(child, "exit");
    }
    rmSync(directory, { recursive: true });
  };

  try {
    run("etcd", "etcd", [
      `--data-dir=${join(directory, "etcd")}`,
      "--unsafe-no-fsync",
      "--log-level=error",
      "--quota-backend-bytes=4294967296",
      `--listen-client-urls=${etcd}`,
      `--advertise-client-urls=${etcd}`,
      `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
    ]);
    run("api", "kube-apiserver", [
      `--etcd-servers=${etcd}`,
      "--service-cluster-ip-range=10.96.0.0/16",
      "--bind-address=127.0.0.1",
      `--secure-port=${apiPort}`,
      `--cert-dir=${join(directory, "certs")}`,
      `--token-auth-file=${join(directory, "tokens.csv")}`,
      "--authorization-mode=AlwaysAllow",
      `--service-account-key-file=${join(directory, "sa.pem")}`,
      `--service-account-signing-key-file=${join(directory, "sa.pem")}`,
      "--service-account-issuer=https://scale.invalid",
      // Nobody makes service accounts here, and nobody takes the taint of a new node away.
      "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
      `--audit-policy-file=${join(directory, "audit.yaml")}`,
      `--audit-log-path=${auditLog}`,
      "--audit-log-mode=batch",
      "--audit-log-batch-max-wait=1s",
      "--max-requests-inflight=2000",
      "--max-mutating-requests-inflight=1000",
    ]);
    await untilReady(server);
    const config = (user: User): string => `--kubeconfig=${join(directory, `${user}.kubeconfig`)}`;
    const free = ["--leader-elect=false", "--kube-api-qps=5000", "--kube-api-burst=10000"];
    run("scheduler", "kube-scheduler", [config("scheduler"), ...free, `--secure-port=${schedulerPort}`]);
    run("collector", "kube-controller-manager", [
      config("collector"),
      ...free,
      "--controllers=garbage-collector-controller",
      `--secure-port=${kcmPort}`,
    ]);
    run("kwok", "kwok", [
      config("kwok"),
      "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
      "--cidr=10.64.0.0/12",
      `--config=${join(directory, "kwok.yaml")}`,
      `--server-address=127.0.0.1:${kwokPort}`,
    ]);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    server,
    kubeconfig: (user) => join(directory, `${user}.kubeconfig`),
    token: (user) => `token-of-${user}`,
    auditLog,
    stop,
  };
}

function writeFiles(directory: string, server: string): void {
  const write = (name: string, text: string): void => writeFileSync(join(directory, name), text, { mode: 0o600 });
  mkdirSync(join(directory, "certs"));
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  write("sa.pem", privateKey.export({ type: "pkcs1", format: "pem" }).toString());
  write("tokens.csv", USERS.map((user) => `token-of-${user},${user},${user},system:masters`).join("\n"));
  write("kwok.yaml", KWOK_STAGES);
  const audited = {
    level: "Metadata",
    omitStages: ["RequestReceived"],
    verbs: ["create", "update", "patch", "delete", "deletecollection"],
  };
  const audit = { apiVersion: "audit.k8s.io/v1", kind: "Policy", rules: [audited, { level: "None" }] };
  write("audit.yaml", JSON.stringify(audit));
  for (const user of USERS) {
    const config = {
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "scale", cluster: { server, "insecure-skip-tls-verify": true } }],
      users: [{ name: user, user: { token: `token-of-${user}` } }],
      contexts: [{ name: "scale", context: { cluster: "scale", user } }],
      "current-context": "scale",
    };
    write(`${user}.kubeconfig`, JSON.stringify(config));
  }
}

async function untilReady(server: string): Promise<void> {
  const deadlineMs = Date.now() + READY_MS;
  while (Date.now() < deadlineMs) {
    if (await isReady(server)) return;
    await sleep(200);
  }
  throw new Error(`The API server was not ready within ${READY_MS} ms`);
}

function isReady(server: string): Promise<boolean> {
  return new Promise((resolve) => {
    const headers = { authorization: "Bearer token-of-admin" };
    const asked = request(`${server}/readyz`, { rejectUnauthorized: false, headers }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    asked.on("error", () => resolve(false));
    asked.end();
  });
}
