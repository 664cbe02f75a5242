import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { vi } from "vitest";
import type { SandboxSpecResource } from "#api/crd/sandbox.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import type { Node } from "#core/kubernetes/cluster-objects.ts";
import { AGENT_CONTAINER, AGENT_PORT, podName } from "#core/kubernetes/names.ts";
import type { PodStatus } from "#core/kubernetes/pod.ts";
import { NODES, PODS } from "#core/kubernetes/resources.ts";
import { call } from "../cluster/cluster.ts";
import { TEST_IMAGE } from "./cluster-images.ts";

/**
 * A node that no machine stands behind: the test is its kubelet, and says of it and its pods what a
 * kubelet would. Its agents take connections and never say a word, as after a power cut.
 */
export interface GhostNode {
  /** What places a sandbox there, and lets it go a second after the node is lost. */
  readonly podTemplate: SandboxSpecResource["podTemplate"];
  /** What agents here were sent. */
  readonly heard: string;
  /** Writes the status of a sandbox's pod. */
  report(sandbox: { readonly namespace: string; readonly name: string }, status: PodStatus): Promise<void>;
  /** All containers run, as soon as the pod is placed here. */
  reportRunning(sandbox: { readonly namespace: string; readonly name: string }): Promise<void>;
  /** No word comes from the node any more. */
  lose(): Promise<void>;
  /** Removes it and what is left on it. */
  dispose(): Promise<void>;
}

const MARK = "test.invalid/ghost";
/** Without a word for 50 s a node counts as lost. */
const HEARTBEAT_MS = 10_000;
const PLACED_MS = 30_000;
const LOST_TAINTS = ["node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready"];

export async function makeGhostNode(client: KubeClient): Promise<GhostNode> {
  const name = `ghost-${randomBytes(4).toString("hex")}`;
  const sockets = new Set<Socket>();
  let heard = "";
  const agent = createServer((socket) => {
    socket.on("error", () => undefined).on("data", (bytes) => (heard += bytes.toString()));
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  agent.listen(AGENT_PORT, `127.${77 + (process.pid % 100)}.0.1`);
  await once(agent, "listening");
  const { address: podIP } = agent.address() as AddressInfo;
  const ready = (status: "True" | "Unknown"): object => {
    const now = new Date().toISOString();
    const reason = status === "True" ? "KubeletReady" : "NodeStatusUnknown";
    return { type: "Ready", status, reason, lastHeartbeatTime: now, lastTransitionTime: now };
  };
  const node = {
    // The label by which sandboxes find nodes with gVisor; what is not meant for this one keeps away by its taint.
    metadata: { name, labels: { [MARK]: name, "atoll.run/gvisor": "true", "kubernetes.io/os": "linux" } },
    spec: { taints: [{ key: MARK, value: name, effect: "NoSchedule" }] },
    status: {
      conditions: [ready("True")],
      capacity: { cpu: "8", memory: "8Gi", pods: "50", "ephemeral-storage": "8Gi" },
      allocatable: { cpu: "8", memory: "8Gi", pods: "50", "ephemeral-storage": "8Gi" },
    },
  };
  await client.create(NODES, node as unknown as Node, call());

  const say = (status: "True" | "Unknown"): Promise<Node> =>
    client.patch(NODES, { name }, { status: { conditions: [ready(status)] } }, call(), { subresource: "status" });
  const beating = setInterval(() => void say("True").catch(() => undefined), HEARTBEAT_MS);
  const report: GhostNode["report"] = async (sandbox, status) =>
    void (await client.patch(PODS, podRef(sandbox), { status }, call(), { subresource: "status" }));
  return {
    podTemplate: {
      spec: {
        containers: [{ name: "main", image: TEST_IMAGE }],
        nodeSelector: { [MARK]: name },
        tolerations: [
          { key: MARK, operator: "Exists" },
          ...LOST_TAINTS.map((key) => ({ key, operator: "Exists", effect: "NoExecute", tolerationSeconds: 1 })),
        ],
      },
    },
    get heard() {
      return heard;
    },
    report,
    async reportRunning(sandbox) {
      await vi.waitUntil(
        async () => (await client.get(PODS, podRef(sandbox), call()).catch(() => undefined))?.spec.nodeName === name,
        { timeout: PLACED_MS, interval: 100 },
      );
      const startedAt = new Date().toISOString();
      const container = (name: string) => ({
        name,
        ready: true,
        restartCount: 0,
        image: TEST_IMAGE,
        imageID: "",
        state: { running: { startedAt } },
      });
      await report(sandbox, {
        phase: "Running",
        startTime: startedAt,
        podIP,
        podIPs: [{ ip: podIP }],
        conditions: [
          { type: "PodScheduled", status: "True" },
          { type: "Ready", status: "True" },
        ],
        containerStatuses: [container(AGENT_CONTAINER), container("main")],
      });
    },
    async lose() {
      clearInterval(beating);
      await say("Unknown");
    },
    async dispose() {
      clearInterval(beating);
      const { items } = await client.list(PODS, { fieldSelector: `spec.nodeName=${name}` }, call());
      for (const { metadata } of items) await client.remove(PODS, metadata, call(), { gracePeriodSeconds: 0 });
      await client.remove(NODES, { name }, call());
      for (const socket of sockets) socket.destroy();
      agent.close();
    },
  };
}

function podRef({ namespace, name }: { readonly namespace: string; readonly name: string }) {
  return { namespace, name: podName(name) };
}
