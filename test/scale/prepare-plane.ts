import { sandboxCrd } from "#api/crd/sandbox-crd.ts";
import { fences } from "#core/kubernetes/admission/fence.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import { AGENT_KEYS_SECRET, RUNTIME_CLASS, RUNTIME_HANDLER } from "#core/kubernetes/names.ts";
import {
  CRDS,
  NAMESPACES,
  NODES,
  RUNTIME_CLASSES,
  SANDBOXES,
  SECRETS,
  VALIDATING_ADMISSION_POLICIES,
  VALIDATING_ADMISSION_POLICY_BINDINGS,
} from "#core/kubernetes/resources.ts";
import { AGENT_CAPABILITIES, CONTAINER_CAPABILITIES, SIBLING_MARKS } from "#sidecar/manifest.ts";
import { until } from "../harness/until.ts";
import { call } from "./plane-client.ts";

export const SYSTEM = "system";
export const BOXES = "boxes";
/** A step on a busy machine. */
export const READY_MS = 60_000;

/** What an installation brings, and nodes that only pretend. */
export async function preparePlane(admin: KubeClient, nodes: number): Promise<void> {
  const base: KubeObject[] = [SYSTEM, BOXES].map((name) => ({ metadata: { name } }));
  for (const object of base) await admin.create(NAMESPACES, object, call());
  await admin.create(CRDS, sandboxCrd(), call());
  await admin.create(RUNTIME_CLASSES, { metadata: { name: RUNTIME_CLASS }, handler: RUNTIME_HANDLER }, call());
  await admin.create(SECRETS, { metadata: { name: AGENT_KEYS_SECRET, namespace: SYSTEM } }, call());
  const fence = fences({
    sandboxNamespaces: [BOXES],
    operatorUser: "atoll-operator",
    runtimeClass: RUNTIME_CLASS,
    capabilities: { container: CONTAINER_CAPABILITIES, marks: SIBLING_MARKS, agent: AGENT_CAPABILITIES },
  });
  for (const { policy, binding } of fence) {
    await admin.create(VALIDATING_ADMISSION_POLICIES, policy, call());
    await admin.create(VALIDATING_ADMISSION_POLICY_BINDINGS, binding, call());
  }
  for (let index = 0; index < nodes; index += 1) await createNode(admin, `node-${index}`);
  // The API server serves a new definition a moment later.
  const isServed = (): Promise<boolean> =>
    admin.list(SANDBOXES, { namespace: BOXES }, call()).then(
      () => true,
      () => false,
    );
  await until(isServed, (is) => is, { timeoutMs: READY_MS });
}

/** Ready for ever: nobody looks for its heartbeat. */
async function createNode(admin: KubeClient, name: string): Promise<void> {
  const annotations = { "kwok.x-k8s.io/node": "fake" };
  await admin.create(NODES, { metadata: { name, annotations, labels: { "kubernetes.io/hostname": name } } }, call());
  const capacity = { cpu: "1000", memory: "4Ti", pods: "20000" };
  const status = { allocatable: capacity, capacity, conditions: [{ type: "Ready", status: "True" }] };
  await admin.patch(NODES, { name }, { status }, call(), { subresource: "status" });
}
