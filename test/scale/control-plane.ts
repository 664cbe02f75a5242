import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startControlPlane as startBare } from "../harness/control-plane.ts";
import { freePorts } from "../harness/free-ports.ts";
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

export async function startControlPlane(): Promise<ControlPlane> {
  const directory = mkdtempSync(join(tmpdir(), "atoll-scale-"));
  const auditLog = join(directory, "audit.log");
  writeSettings(directory);
  const plane = await startBare({
    apiServer: [
      `--token-auth-file=${join(directory, "tokens.csv")}`,
      // Nobody makes service accounts here, and nobody takes the taint of a new node away.
      "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
      `--audit-policy-file=${join(directory, "audit.yaml")}`,
      `--audit-log-path=${auditLog}`,
      "--audit-log-mode=batch",
      "--audit-log-batch-max-wait=1s",
      // A log that is turned over at 100 MB loses its beginning.
      "--audit-log-maxsize=8192",
      "--max-requests-inflight=2000",
      "--max-mutating-requests-inflight=1000",
    ],
  });
  const kubeconfig = (user: User): string => join(directory, `${user}.kubeconfig`);
  for (const user of USERS) writeFileSync(kubeconfig(user), kubeconfigOf(plane.server, user), { mode: 0o600 });

  const ports = await freePorts("scheduler", "collector", "kwok");
  const config = (user: User): string => `--kubeconfig=${kubeconfig(user)}`;
  const free = ["--leader-elect=false", "--kube-api-qps=5000", "--kube-api-burst=10000"];
  plane.run("kube-scheduler", [config("scheduler"), ...free, `--secure-port=${ports.scheduler}`]);
  plane.run("kube-controller-manager", [
    config("collector"),
    ...free,
    "--controllers=garbage-collector-controller",
    `--secure-port=${ports.collector}`,
  ]);
  plane.run("kwok", [
    config("kwok"),
    "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
    "--cidr=10.64.0.0/12",
    `--config=${join(directory, "kwok.yaml")}`,
    `--server-address=127.0.0.1:${ports.kwok}`,
  ]);
  return {
    server: plane.server,
    kubeconfig,
    token: tokenOf,
    auditLog,
    async stop() {
      await plane.dispose();
      rmSync(directory, { recursive: true });
    },
  };
}

function tokenOf(user: User): string {
  return `token-of-${user}`;
}

function writeSettings(directory: string): void {
  const write = (name: string, text: string): void => writeFileSync(join(directory, name), text, { mode: 0o600 });
  write("tokens.csv", USERS.map((user) => `${tokenOf(user)},${user},${user},system:masters`).join("\n"));
  write("kwok.yaml", KWOK_STAGES);
  const audited = {
    level: "Metadata",
    omitStages: ["RequestReceived"],
    verbs: ["create", "update", "patch", "delete", "deletecollection"],
  };
  const audit = { apiVersion: "audit.k8s.io/v1", kind: "Policy", rules: [audited, { level: "None" }] };
  write("audit.yaml", JSON.stringify(audit));
}

function kubeconfigOf(server: string, user: User): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "scale", cluster: { server, "insecure-skip-tls-verify": true } }],
    users: [{ name: user, user: { token: tokenOf(user) } }],
    contexts: [{ name: "scale", context: { cluster: "scale", user } }],
    "current-context": "scale",
  });
}
