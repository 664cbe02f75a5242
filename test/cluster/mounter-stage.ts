import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { rootfsSnapshotCrd } from "#api/crd/rootfs-snapshot-crd.ts";
import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SnapshotBase } from "#api/snapshot-manifest.ts";
import { sandboxCrd } from "#api/crd/sandbox-crd.ts";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import { fences, mounterFenceName } from "#core/kubernetes/admission/fence.ts";
import { serviceAccountUser } from "#core/kubernetes/admission/fence-config.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { AGENT_CONTAINER, LABEL, podName } from "#core/kubernetes/names.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import type { ContainerStatus, Pod } from "#core/kubernetes/pod.ts";
import type { PolicyRule } from "#core/kubernetes/policy-rule.ts";
import { CRDS, NAMESPACES, PODS, ROOTFS_SNAPSHOTS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { MOUNTER_SANDBOX_NAMESPACE_RULES, MOUNTER_SYSTEM_NAMESPACE_RULES } from "#mounter/manifest.ts";
import { sampleCheckpoint, writeCheckpoint } from "../../mounter/test/sample-checkpoint.ts";
import { ROOT } from "../../mounter/test/sample-layer.ts";
import { startControlPlane, type ControlPlane } from "../harness/control-plane.ts";
import { freePort } from "../harness/free-ports.ts";
import { startLogged, type LoggedProcess } from "../harness/logged-process.ts";
import { until } from "../harness/until.ts";
import { untilReady } from "../harness/until-ready.ts";
import { call } from "./cluster.ts";
import { adminOf, post, putUp, told } from "./node-account.ts";

const SYSTEM = "system";
const NAMESPACE = "boxes";
const ACCOUNT = "mounter";
const NODE = "one";
const BASE: SnapshotBase = { image: "debian:13" };
const RBAC = "/apis/rbac.authorization.k8s.io/v1";
const START_MS = 60_000;
const REPOSITORY = fileURLToPath(new URL("../..", import.meta.url));

/**
 * The mounter of one node as a process of its own, with the account, the rights and the fence of an installation,
 * on an API server of its own. Node and operator are the test's: what gVisor saves is a sample.
 */
export interface MounterStage {
  readonly admin: KubeClient;
  readonly namespace: string;
  readonly node: string;
  readonly port: number;
  /** The administrator's. */
  readonly kubeconfig: string;
  readonly restoreFolder: string;
  /** Starts it; anew after it was killed. */
  start(): Promise<void>;
  kill(signal?: NodeJS.Signals): Promise<void>;
  log(): string;
  /** A sandbox, and its pod bound to this node. */
  sandbox(
    name: string,
    spec?: Partial<SandboxResource["spec"]>,
  ): Promise<{ readonly uid: string; readonly podUid: string }>;
  podStatus(name: string, ...containerStatuses: readonly ContainerStatus[]): Promise<void>;
  /** A record, assigned to a node as the operator does. */
  record(name: string, sandbox: string, options?: RecordOptions): Promise<void>;
  patchRecord(name: string, status: object): Promise<void>;
  untilEnded(name: string): Promise<RootfsSnapshotResource>;
  /** From now on saving takes until `letSave`. */
  holdSaves(): Promise<void>;
  letSave(): Promise<void>;
  /** Saves that have begun since the start of the stage. */
  saves(): Promise<number>;
  ask(path: string, signal?: AbortSignal): Promise<number>;
  /** Names below the store's folder of the namespace. */
  stored(): Promise<readonly string[]>;
  restored(uid: string): Promise<readonly string[]>;
  dispose(): Promise<void>;
}

export interface RecordOptions {
  readonly snapshotName?: string;
  readonly node?: string;
  readonly timeoutSeconds?: number;
  readonly finalizers?: readonly string[];
  readonly base?: SnapshotBase;
}

export const CONTAINER_ID = `containerd://${"a".repeat(64)}`;
const AGENT_ID = "e".repeat(64);
export const AGENT: ContainerStatus = {
  name: AGENT_CONTAINER,
  containerID: `containerd://${AGENT_ID}`,
  state: { running: {} },
};
export const RUNNING: ContainerStatus = { name: "main", containerID: CONTAINER_ID, state: { running: {} } };

export async function startMounterStage(): Promise<MounterStage> {
  const folder = await mkdtemp(join(tmpdir(), "atoll-mounter-"));
  const plane = await startControlPlane({ apiServer: ["--disable-admission-plugins=ServiceAccount"] });
  try {
    return await setUp(plane, folder);
  } catch (error) {
    await plane.dispose();
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function setUp(plane: ControlPlane, folder: string): Promise<MounterStage> {
  const admin = adminOf(plane);
  for (const name of [SYSTEM, NAMESPACE]) await admin.create(NAMESPACES, { metadata: { name } }, call());
  for (const definition of [sandboxCrd(), rootfsSnapshotCrd()]) await admin.create(CRDS, definition, call());
  const list = (kind: typeof SANDBOXES | typeof ROOTFS_SNAPSHOTS) =>
    admin.list<KubeObject>(kind, { namespace: NAMESPACE }, call());
  await until(
    () => told(Promise.all([list(SANDBOXES), list(ROOTFS_SNAPSHOTS)])),
    (answer) => answer === "allowed",
    {
      timeoutMs: START_MS,
    },
  );
  const token = await accountToken(plane);
  await putUpFence(plane);
  const port = await freePort();
  const runsc = await fakeRunsc(folder);
  const account = await accountFolder(plane, folder, token);
  const { hostname, port: apiPort } = new URL(plane.server);
  const env = {
    PATH: process.env["PATH"],
    KUBERNETES_SERVICE_HOST: hostname,
    KUBERNETES_SERVICE_PORT: apiPort,
    ATOLL_SNAPSHOT_STORE: `file://${folder}/store`,
    ATOLL_NODE_NAME: NODE,
    ATOLL_POD_NAME: "mounter-1",
    ATOLL_SYSTEM_NAMESPACE: SYSTEM,
    ATOLL_SANDBOX_NAMESPACES: NAMESPACE,
    ATOLL_RUNSC: runsc.path,
    ATOLL_RUNSC_ROOT: join(folder, "runsc"),
    ATOLL_RESTORE_PORT: String(port),
    ATOLL_RESTORE_FOLDER: join(folder, "restores"),
    ATOLL_MOUNTER_DIR: join(folder, "mounter"),
    ATOLL_MOUNTER_STAGING_BYTES: String(2 ** 30),
    ATOLL_DISK_RESERVE_BYTES: "0",
    ATOLL_CONCURRENCY: "4",
    ATOLL_LOG_LEVEL: "debug",
  };
  let mounter: LoggedProcess | undefined;
  const logPath = join(folder, "mounter.log");
  const stage: MounterStage = {
    admin,
    namespace: NAMESPACE,
    node: NODE,
    port,
    kubeconfig: plane.kubeconfig,
    restoreFolder: env.ATOLL_RESTORE_FOLDER,
    async start() {
      mounter = startLogged(inAccount(account), { logPath, env, cwd: REPOSITORY });
      await untilReady(`http://127.0.0.1:${port}/readyz`, {
        who: "the mounter",
        timeoutMs: START_MS,
        process: mounter,
      });
    },
    kill: async (signal = "SIGKILL") => mounter?.end(signal),
    log: () => mounter?.log() ?? "",
    async sandbox(name, spec = {}) {
      const containers = [{ name: "main", image: "debian:13" }];
      const given = { startupTimeoutSeconds: 60, podTemplate: { spec: { containers } }, ...spec };
      const made = await admin.create(SANDBOXES, { metadata: { name, namespace: NAMESPACE }, spec: given }, call());
      const uid = made.metadata.uid ?? "";
      const pod = await admin.create(PODS, podOf(name, uid, given), call());
      return { uid, podUid: pod.metadata.uid ?? "" };
    },
    async podStatus(name, ...containerStatuses) {
      const ref = { namespace: NAMESPACE, name: podName(name) };
      const statuses = containerStatuses.map((status) => ({
        image: "debian:13",
        imageID: "",
        ready: true,
        restartCount: 0,
        ...status,
      }));
      await admin.patch(PODS, ref, { status: { phase: "Running", containerStatuses: statuses } }, call(), {
        subresource: "status",
      });
    },
    async record(
      name,
      sandbox,
      { snapshotName = name, node = NODE, timeoutSeconds = 60, finalizers = [], base = BASE } = {},
    ) {
      const spec = { sandboxName: sandbox, snapshotName, timeoutSeconds, ttlSecondsAfterFinished: 300 };
      await admin.create(ROOTFS_SNAPSHOTS, { metadata: { name, namespace: NAMESPACE, finalizers }, spec }, call());
      const pod = await admin.get(PODS, { namespace: NAMESPACE, name: podName(sandbox) }, call());
      await stage.patchRecord(name, {
        startTime: new Date().toISOString().replace(/\.\d+Z/, "Z"),
        nodeName: node,
        podUid: pod.metadata.uid,
        containerName: "main",
        containerID: CONTAINER_ID,
        base,
      });
    },
    async patchRecord(name, status) {
      const ref = { namespace: NAMESPACE, name };
      await admin.patch(ROOTFS_SNAPSHOTS, ref, { status }, call(), { subresource: "status" });
    },
    untilEnded: (name) =>
      until(
        () => admin.get(ROOTFS_SNAPSHOTS, { namespace: NAMESPACE, name }, call()),
        ({ status }) =>
          (status?.conditions ?? []).some(({ type, status: said }) => type === "Succeeded" && said !== "Unknown"),
        { timeoutMs: 30_000 },
      ),
    ...runsc,
    async ask(path, signal) {
      const init = signal === undefined ? {} : { signal };
      return (await fetch(`http://127.0.0.1:${port}${path}`, init)).status;
    },
    stored: () => readdir(join(folder, "store/rootfssnapshots", NAMESPACE)).catch(() => []),
    restored: (uid) => readdir(join(folder, "restores", NAMESPACE, uid)).catch(() => []),
    async dispose() {
      await mounter?.end("SIGKILL");
      await plane.dispose();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return stage;
}

function podOf(name: string, uid: string, { podTemplate }: SandboxResource["spec"]): Pod {
  const owner = { apiVersion: "sandbox.isola.run/v1alpha1", kind: "Sandbox", name, uid };
  return {
    metadata: {
      name: podName(name),
      namespace: NAMESPACE,
      labels: { [LABEL.sandbox]: "true" },
      ownerReferences: [owner],
    },
    spec: { nodeName: NODE, containers: podTemplate.spec.containers },
  };
}

/** The token of a pod of the account on this node, as kubelet would give it. */
async function accountToken(plane: ControlPlane): Promise<string> {
  await post(plane, "/api/v1/nodes", { metadata: { name: NODE } });
  const accounts = `/api/v1/namespaces/${SYSTEM}/serviceaccounts`;
  await post(plane, accounts, { metadata: { name: ACCOUNT } });
  const spec = { nodeName: NODE, serviceAccountName: ACCOUNT, containers: [{ name: "c", image: "none" }] };
  const pod = await post(plane, `/api/v1/namespaces/${SYSTEM}/pods`, { metadata: { name: ACCOUNT }, spec });
  const { uid } = pod["metadata"] as { uid: string };
  const boundObjectRef = { apiVersion: "v1", kind: "Pod", name: ACCOUNT, uid };
  const { status } = await post(plane, `${accounts}/${ACCOUNT}/token`, { spec: { boundObjectRef } });
  await allow(plane, NAMESPACE, MOUNTER_SANDBOX_NAMESPACE_RULES);
  await allow(plane, SYSTEM, MOUNTER_SYSTEM_NAMESPACE_RULES);
  return (status as { token: string }).token;
}

async function allow(plane: ControlPlane, namespace: string, rules: readonly PolicyRule[]): Promise<void> {
  const within = `${RBAC}/namespaces/${namespace}`;
  await post(plane, `${within}/roles`, { metadata: { name: ACCOUNT }, rules });
  await post(plane, `${within}/rolebindings`, {
    metadata: { name: ACCOUNT },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: ACCOUNT },
    subjects: [{ kind: "ServiceAccount", name: ACCOUNT, namespace: SYSTEM }],
  });
}

async function putUpFence(plane: ControlPlane): Promise<void> {
  const all = fences({
    sandboxNamespaces: [NAMESPACE],
    operatorUser: "o",
    runtimeClass: "g",
    capabilities: { container: [], marks: [], agent: [] },
    mounterUser: serviceAccountUser(SYSTEM, ACCOUNT),
  });
  await putUp(plane, all, ({ metadata }) => metadata.name === mounterFenceName());
}

async function accountFolder({ kubeconfig }: ControlPlane, folder: string, token: string): Promise<string> {
  const config = JSON.parse(await readFile(kubeconfig, "utf8")) as {
    clusters: { cluster: { "certificate-authority"?: string; "certificate-authority-data"?: string } }[];
  };
  const { "certificate-authority": path, "certificate-authority-data": data = "" } = config.clusters[0]?.cluster ?? {};
  const account = join(folder, "account");
  await mkdir(account);
  await writeFile(join(account, "token"), token);
  await writeFile(join(account, "ca.crt"), path === undefined ? Buffer.from(data, "base64") : await readFile(path));
  return account;
}

/** The program where it finds its account as in a pod: in a mount namespace of its own. */
function inAccount(account: string): readonly string[] {
  const place = "/run/secrets/kubernetes.io/serviceaccount";
  const script = [
    "mount -t tmpfs none /run",
    `mkdir -p ${place}`,
    `cp "$1"/* ${place}/`,
    'exec "$2" mounter/src/entry/main.ts',
  ].join(" && ");
  return ["unshare", "--mount", "--propagation=private", "sh", "-c", script, "sh", account, process.execPath];
}

/** In place of gVisor: saves always the same, when it is let; in the agent's container it finds one socket, and fails to wait for the end. */
async function fakeRunsc(folder: string) {
  const sample = { path: "./file", sizeBytes: 5000, segments: [{ startPage: 0, pages: 2, fill: 7 }] };
  await writeCheckpoint(join(folder, "sample"), sampleCheckpoint([ROOT], [sample]));
  const [path, gate, count] = [join(folder, "runsc.sh"), join(folder, "gate"), join(folder, "count")];
  const script = `#!/bin/sh
case " $* " in *" exec "*" ${AGENT_ID} "*" main "*)
  printf 'sockets 1 2e2f73\\nattributes 0\\ncapabilities 0\\nroot 755 0 0\\nend 1 0 0\\n'; exit 128;; esac
for word; do case "$word" in --image-path=*) to="\${word#--image-path=}";; esac; done
echo "$@" >> ${count}
while [ -e ${gate} ]; do sleep 0.05; done
exec cp -r ${folder}/sample "$to"
`;
  await writeFile(path, script, { mode: 0o755 });
  return {
    path,
    holdSaves: () => writeFile(gate, ""),
    letSave: () => rm(gate, { force: true }),
    saves: async () => (await readFile(count, "utf8").catch(() => "")).split("\n").length - 1,
  };
}
