import { randomBytes } from "node:crypto";
import { inject } from "vitest";
import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { MOUNTER_NAME, OPERATOR_NAME, SANDBOX_NAMESPACE, SYSTEM_NAMESPACE } from "#core/kubernetes/names.ts";
import { PODS, ROOTFS_SNAPSHOTS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { Atoll, type ContainerSettings, type Sandbox, type SandboxSettings } from "#sdk";
import { TEST_IMAGE } from "../harness/cluster-images.ts";
import { startSnapshotStore, type SnapshotStore } from "../harness/snapshot-store.ts";
import { openTestbed, type Testbed } from "../harness/testbed.ts";
import { until } from "../harness/until.ts";
import { call, findCluster, type Cluster } from "./cluster.ts";

export type Settings = Partial<ContainerSettings> & SandboxSettings;

/** The platform as it is installed, a store of this test's own, and shorthands for both. */
export interface SnapshotStage {
  readonly api: Atoll;
  readonly cluster: Cluster;
  readonly client: KubeClient;
  readonly testbed: Testbed;
  readonly store: SnapshotStore;
  /** Makes a sandbox and waits until it runs; it goes with the stage. */
  create(settings?: Settings): Promise<Sandbox>;
  /** Makes one that is not waited for. */
  begin(settings?: Settings): Promise<Sandbox>;
  /** Waits until a sandbox runs or has ended. */
  started(sandbox: Sandbox): Promise<Sandbox>;
  /** Waits until a sandbox is there no more. */
  gone(sandbox: Pick<Sandbox, "id">): Promise<void>;
  object(sandbox: Pick<Sandbox, "id">): Promise<SandboxResource>;
  record(id: string): Promise<RootfsSnapshotResource>;
  dispose(): Promise<void>;
}

/** Longer than the default time of a start. */
const START_MS = 110_000;
const GONE_MS = 90_000;

export async function openSnapshotStage(): Promise<SnapshotStage> {
  const [cluster, testbed] = await Promise.all([findCluster(), openTestbed()]);
  const client = cluster.client();
  const store = await startSnapshotStore();
  const api = new Atoll({ url: inject("gatewayUrl") });
  const made: Sandbox[] = [];
  const make = async (settings: Settings, options: { maxWaitMs?: number }): Promise<Sandbox> => {
    const sandbox = await api.sandboxes.create({ image: TEST_IMAGE, ...settings }, options);
    made.push(sandbox);
    return sandbox;
  };
  const isThere = async ({ id }: Pick<Sandbox, "id">): Promise<boolean> =>
    (await api.sandboxes.list()).some((sandbox) => sandbox.id === id);
  const gone = async (sandbox: Pick<Sandbox, "id">): Promise<void> => {
    await until(
      () => isThere(sandbox),
      (there) => !there,
      { timeoutMs: GONE_MS },
    );
  };
  return {
    api,
    cluster,
    client,
    testbed,
    store,
    gone,
    create: (settings = {}) => make(settings, {}),
    begin: (settings = {}) => make(settings, { maxWaitMs: 0 }),
    started: (sandbox) =>
      until(
        () => sandbox.refresh(),
        ({ status }) => status !== "Pending",
        { timeoutMs: START_MS },
      ),
    object: ({ id }) => client.get(SANDBOXES, { namespace: SANDBOX_NAMESPACE, name: id }, call()),
    record: (id) => client.get(ROOTFS_SNAPSHOTS, { namespace: SANDBOX_NAMESPACE, name: id }, call()),
    async dispose() {
      await Promise.all(made.map((sandbox) => sandbox.delete()));
      await Promise.all(made.map(gone));
      await store.end();
    },
  };
}

/** A name of a snapshot that nobody else has. */
export function newName(): string {
  return `s${randomBytes(8).toString("hex")}`;
}

/** What a script prints in a sandbox; it has to succeed. */
export async function run(sandbox: Sandbox, script: string, container?: string): Promise<string> {
  const options = container === undefined ? {} : { container };
  const { exitCode, stdout, stderr } = await sandbox.commands.run(["sh", "-c", script], options);
  if (exitCode !== 0) throw new Error(`"${script}" ended with ${exitCode}: ${stderr.slice(-2000)}`);
  return stdout;
}

/** Command lines of the platform's programs on the node, as regular expressions. */
const COMMAND_LINES = {
  operator: "^/bin/node /opt/atoll/operator.js",
  mounter: "^/bin/node /opt/atoll/mounter.js",
} as const;
const POD_NAMES = { operator: OPERATOR_NAME, mounter: MOUNTER_NAME } as const;
export type Program = keyof typeof COMMAND_LINES;

/**
 * Ends all processes of a program by SIGKILL; answers how many there were. Its pods go too, so that new
 * ones come at once: kubelet waits longer each time before it starts a container again.
 */
export async function killProgram({ testbed, client }: SnapshotStage, program: Program): Promise<number> {
  const pids = testbed
    .onNode(["sh", "-c", `pgrep -f "${COMMAND_LINES[program]}" || true`])
    .split("\n")
    .filter(Boolean);
  if (pids.length > 0) testbed.onNode(["kill", "-9", ...pids]);
  const labelSelector = `app.kubernetes.io/name=${POD_NAMES[program]}`;
  const { items } = await client.list(PODS, { namespace: SYSTEM_NAMESPACE, labelSelector }, call());
  for (const { metadata } of items) {
    const { name, namespace = "" } = metadata;
    await client.remove(PODS, { name, namespace }, call(), { gracePeriodSeconds: 1 });
  }
  return pids.length;
}
