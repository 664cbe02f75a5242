import { AGENT_CONTAINER, podName } from "#core/kubernetes/names.ts";
import type { Resource } from "#core/kubernetes/client.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import { PODS } from "#core/kubernetes/resources.ts";
import { call } from "./cluster.ts";
import { CONTAINER_ID, type MounterStage } from "./mounter-stage.ts";

type Stage = Pick<MounterStage, "admin" | "namespace" | "node">;

/** The image of what `reportRunning` says, and its digest unless another is given. */
export const IMAGE = "img:1";
export const DIGEST = `sha256:${"ab".repeat(32)}`;

/** Gives a sandbox's pod to the node, as the scheduler does. */
export async function bindPod({ admin, namespace, node }: Stage, sandbox: string): Promise<void> {
  const name = podName(sandbox);
  const bindings: Resource<KubeObject> = { ...PODS, plural: `pods/${name}/binding`, kind: "Binding" };
  const target = { apiVersion: "v1", kind: "Node", name: node };
  const binding: KubeObject & { readonly target: object } = { metadata: { name, namespace }, target };
  await admin.create(bindings, binding, call());
}

/** Says of a sandbox's pod what kubelet says when all of its containers run, each of the image of this digest. */
export async function reportRunning(
  { admin, namespace }: Stage,
  sandbox: string,
  { digest = DIGEST, podIp = "10.0.0.9" } = {},
): Promise<void> {
  const ref = { name: podName(sandbox), namespace };
  const { spec } = await admin.get(PODS, ref, call());
  const startedAt = new Date().toISOString().replace(/\.\d+/, "");
  const running = ({ name }: { readonly name: string }) => ({
    name,
    ready: true,
    restartCount: 0,
    image: IMAGE,
    imageID: `registry/img@${digest}`,
    containerID: CONTAINER_ID,
    state: { running: { startedAt } },
  });
  const status = {
    phase: "Running",
    startTime: startedAt,
    podIP: podIp,
    podIPs: [{ ip: podIp }],
    conditions: [{ type: "Ready", status: "True" }],
    containerStatuses: spec.containers.map(running),
    ...(spec.initContainers === undefined ? {} : { initContainerStatuses: [running({ name: AGENT_CONTAINER })] }),
  };
  await admin.patch(PODS, ref, { status }, call(), { subresource: "status" });
}

/** Removes a sandbox's pod as kubelet does when its containers have ended. */
export async function endPod({ admin, namespace }: Stage, sandbox: string): Promise<void> {
  await admin.remove(PODS, { name: podName(sandbox), namespace }, call(), { gracePeriodSeconds: 0 });
}
