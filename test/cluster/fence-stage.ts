import { randomBytes } from "node:crypto";
import { vi } from "vitest";
import { rootfsSnapshotCrd } from "#api/crd/rootfs-snapshot-crd.ts";
import { sandboxCrd } from "#api/crd/sandbox-crd.ts";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import { fences } from "#core/kubernetes/admission/fence.ts";
import { serviceAccountUser } from "#core/kubernetes/admission/fence-config.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { KubeError } from "#core/kubernetes/kube-error.ts";
import {
  ANNOTATION,
  GVISOR_ANNOTATION,
  LABEL,
  MOUNTER_NAME,
  OPERATOR_NAME,
  SYSTEM_NAMESPACE,
} from "#core/kubernetes/names.ts";
import type { NetworkPolicy } from "#core/kubernetes/network-policy.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import {
  CRDS,
  NETWORK_POLICIES,
  PODS,
  RUNTIME_CLASSES,
  SANDBOXES,
  VALIDATING_ADMISSION_POLICIES,
  VALIDATING_ADMISSION_POLICY_BINDINGS,
} from "#core/kubernetes/resources.ts";
import { networkLabels, sandboxLabels } from "#core/kubernetes/sandbox-labels.ts";
import { TRIAL_COMMANDS } from "#operator/manifest.ts";
import { AGENT_CAPABILITIES, CONTAINER_CAPABILITIES, SIBLING_MARKS, siblingMarks } from "#sidecar/manifest.ts";
import { call, createNamespace, findCluster } from "./cluster.ts";

/** Part of an object as its author writes it: the API server judges, not the compiler. */
export type Draft = Readonly<Record<string, unknown>>;

export const RESTORES = { folder: "/var/lib/atoll/test-restores", port: 10_033 };
/** Of the sandbox that `sandboxPod` belongs to. */
export const SANDBOX_UID = "00000000-0000-4000-8000-00000000abcd";
/** The agent's image, without a tag. */
export const AGENT_REPOSITORY = "registry.example:5000/atoll-sidecar";
const OPERATOR = serviceAccountUser(SYSTEM_NAMESPACE, OPERATOR_NAME);

/** Three namespaces, one of them fenced and one the operator's, and objects that were there before the fence. */
export interface FenceStage {
  readonly admin: KubeClient;
  readonly operator: KubeClient;
  /** May do anything that the fence does not forbid. */
  readonly mallory: KubeClient;
  as(user: string): KubeClient;
  readonly namespace: string;
  readonly outside: string;
  /** Where the operator makes its trial of network policies. */
  readonly system: string;
  /** A runtime class on the node's own kernel. */
  readonly bareRuntime: string;
  readonly oldPod: Pod;
  readonly oldSandbox: SandboxResource;
  readonly policies: readonly string[];
  clear(): Promise<void>;
}

/** Sets the stage and waits until the fence stands. */
export async function setFenceStage(): Promise<FenceStage> {
  const cluster = await findCluster();
  const admin = cluster.client();
  const cleanUps: (() => Promise<unknown>)[] = [];
  const clear = async (): Promise<void> => {
    for (const cleanUp of cleanUps.toReversed()) await cleanUp();
  };
  for (const definition of [sandboxCrd(), rootfsSnapshotCrd()])
    await admin.apply(CRDS, definition, call(), { fieldManager: "atoll-test" });
  const [namespace, removeNamespace] = await createNamespace(admin, "fence");
  const [outside, removeOutside] = await createNamespace(admin, "outside");
  const [system, removeSystem] = await createNamespace(admin, "system");
  cleanUps.push(removeNamespace, removeOutside, removeSystem);
  const prefix = `test-${randomBytes(4).toString("hex")}`;
  await admin.create(RUNTIME_CLASSES, { metadata: { name: prefix }, handler: "runc" }, call());
  cleanUps.push(() => admin.remove(RUNTIME_CLASSES, { name: prefix }, call()));
  const oldPod = await admin.create(
    PODS,
    podDraft(namespace, { hostNetwork: true, runtimeClassName: undefined }),
    call(),
  );
  const oldSandbox = await admin.create(SANDBOXES, sandboxDraft(namespace, { hostNetwork: true }), call());
  const policies = await putUpFence(admin, { namespace, system, prefix }, cleanUps);
  const mallory = cluster.client({ as: "mallory" });
  const as = (user: string): KubeClient => cluster.client({ as: user });
  const clients = { admin, operator: as(OPERATOR), mallory, as };
  const isUp = async (): Promise<boolean> =>
    (await stands(mallory, namespace)) && (await holdsOperator(clients.operator, system));
  await vi.waitUntil(isUp, { timeout: 30_000, interval: 200 });
  return { ...clients, namespace, outside, system, bareRuntime: prefix, oldPod, oldSandbox, policies, clear };
}

async function putUpFence(
  admin: KubeClient,
  { namespace, system, prefix }: { readonly namespace: string; readonly system: string; readonly prefix: string },
  cleanUps: (() => Promise<unknown>)[],
): Promise<readonly string[]> {
  const fence = fences({
    sandboxNamespaces: [namespace],
    operatorUser: OPERATOR,
    runtimeClass: "gvisor",
    restores: RESTORES,
    mounterUser: serviceAccountUser(system, MOUNTER_NAME),
    networkTrial: { namespace: system, imageRepository: AGENT_REPOSITORY, commands: TRIAL_COMMANDS },
    capabilities: { container: CONTAINER_CAPABILITIES, marks: SIBLING_MARKS, agent: AGENT_CAPABILITIES },
    prefix,
  });
  for (const { policy, binding } of fence) {
    await admin.create(VALIDATING_ADMISSION_POLICIES, policy, call());
    cleanUps.push(() => admin.remove(VALIDATING_ADMISSION_POLICIES, policy.metadata, call()));
    await admin.create(VALIDATING_ADMISSION_POLICY_BINDINGS, binding, call());
    cleanUps.push(() => admin.remove(VALIDATING_ADMISSION_POLICY_BINDINGS, binding.metadata, call()));
  }
  return fence.map(({ policy }) => policy.metadata.name);
}

/** The API server takes policies up a moment after it has stored them. */
async function stands(client: KubeClient, namespace: string): Promise<boolean> {
  const attack = { hostNetwork: true };
  const dry = { dryRun: true };
  const answers = await Promise.all([
    outcome(client.create(PODS, podDraft(namespace, attack), call(), dry)),
    outcome(client.create(PODS, podDraft(namespace, {}, { labels: { [LABEL.sandbox]: "true" } }), call(), dry)),
    outcome(client.create(SANDBOXES, sandboxDraft(namespace, attack), call(), dry)),
  ]);
  return answers.every((answer) => answer.includes("ValidatingAdmissionPolicy"));
}

/** The same of the policies for the operator's own namespace. */
async function holdsOperator(operator: KubeClient, namespace: string): Promise<boolean> {
  const dry = { dryRun: true };
  const policy = {
    metadata: { name: "x", namespace },
    spec: { podSelector: {}, policyTypes: ["Egress"] },
  } satisfies NetworkPolicy;
  const answers = await Promise.all([
    outcome(operator.create(PODS, podDraft(namespace, { runtimeClassName: undefined }), call(), dry)),
    outcome(operator.create(NETWORK_POLICIES, policy, call(), dry)),
  ]);
  return answers.every((answer) => answer.includes("ValidatingAdmissionPolicy"));
}

/** `accepted`, or status and message of the refusal. */
export async function outcome(action: Promise<unknown>): Promise<string> {
  const error = await action.then(
    () => "accepted",
    (thrown: unknown) => thrown,
  );
  return error instanceof KubeError ? `${error.status} ${error.message}` : String(error);
}

/** A pod that nobody has anything against. It fits no node: none of these is to run. */
export function podDraft(namespace: string, spec: Draft, metadata: Draft = {}): Pod {
  return {
    metadata: { name: newName(), namespace, ...metadata },
    spec: {
      runtimeClassName: "gvisor",
      automountServiceAccountToken: false,
      nodeSelector: { "test.invalid/nowhere": "true" },
      containers: [container({})],
      ...spec,
    },
  };
}

export function container(members: Draft): { readonly name: string } & Draft {
  return { name: "user", image: "example.org/image:1", ...members };
}

export function sandboxDraft(namespace: string, spec: Draft, metadata: Draft = {}): SandboxResource {
  const podTemplate = { metadata, spec: { containers: [container({})], ...spec } };
  return { metadata: { name: newName(), namespace }, spec: { podTemplate } } as unknown as SandboxResource;
}

/** Where the pod of a sandbox differs from the plain one. */
export interface SandboxPodParts {
  readonly annotations?: Draft;
  readonly agent?: Draft;
  readonly user?: Draft;
  /** True = bound to a Sandbox, which there is not: for what is only tried. */
  readonly isOwned?: boolean;
}

/** What the operator makes of a Sandbox, as far as the fence looks at it. */
export function sandboxPod(
  namespace: string,
  { annotations = {}, agent = {}, user = {}, isOwned = false }: SandboxPodParts = {},
): Pod {
  const adding = (capabilities: readonly string[]): Draft => ({
    securityContext: { capabilities: { add: capabilities.map((name) => name.replace("CAP_", "")) } },
  });
  const containers = [
    container({ name: "sandbox-sidecar", ...adding(AGENT_CAPABILITIES), ...agent }),
    container({ ...adding(siblingMarks(0)), ...user }),
  ];
  const owner = { apiVersion: "sandbox.isola.run/v1alpha1", kind: "Sandbox", name: "one", uid: SANDBOX_UID };
  return podDraft(
    namespace,
    { shareProcessNamespace: true, containers },
    {
      labels: { ...sandboxLabels("one"), ...networkLabels({ allowInternetEgress: true }), team: "a" },
      annotations: { [GVISOR_ANNOTATION.overlay]: "root:self", [ANNOTATION.sidecarVersion]: "1", ...annotations },
      ...(isOwned ? { ownerReferences: [owner] } : {}),
    },
  );
}

function newName(): string {
  return `x${randomBytes(6).toString("hex")}`;
}
