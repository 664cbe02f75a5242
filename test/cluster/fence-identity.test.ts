import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { GVISOR_ANNOTATION } from "#core/kubernetes/names.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { PODS } from "#core/kubernetes/resources.ts";
import { call } from "./cluster.ts";
import {
  container,
  outcome,
  podDraft,
  RESTORES,
  SANDBOX_UID,
  sandboxPod,
  setFenceStage,
  type Draft,
  type FenceStage,
  type SandboxPodParts,
} from "./fence-stage.ts";

const DRY = { dryRun: true };
const TAR = `${GVISOR_ANNOTATION.rootfsTar}user`;

let stage: FenceStage;
/** A sandbox that runs nowhere. */
let victim: Pod;
beforeAll(async () => {
  stage = await setFenceStage();
  victim = await stage.operator.create(PODS, sandboxPod(stage.namespace), call());
}, 60_000);
afterAll(() => stage.clear());

const tryPod = (parts: SandboxPodParts) =>
  outcome(stage.operator.create(PODS, sandboxPod(stage.namespace, parts), call(), DRY));
const asOperator = (annotations: Draft) => tryPod({ annotations, isOwned: true });
const own = () => `${RESTORES.folder}/${stage.namespace}/${SANDBOX_UID}`;
/** A request that kubelet makes to the node's mounter. */
const request = (kind: string, members: Draft = {}): Draft => ({
  httpGet: {
    host: "127.0.0.1",
    port: RESTORES.port,
    path: `/v1/${kind}/${stage.namespace}/${SANDBOX_UID}`,
    ...members,
  },
});
const asMallory = (metadata: Draft, spec: Draft = {}) =>
  outcome(stage.mallory.create(PODS, podDraft(stage.namespace, spec, metadata), call(), DRY));
const patch = (patched: object, subresource?: string, client = stage.mallory) =>
  outcome(
    client.patch(PODS, victim.metadata, patched, call(), {
      ...DRY,
      ...(subresource === undefined ? {} : { subresource }),
    }),
  );

describe("the operator makes sandboxes", () => {
  it("with an agent, marks, labels and settings of the kernel", async () =>
    expect(await asOperator({})).toBe("accepted"));

  it("that keep a rate", async () => {
    const { qdisc, qdiscRate, qdiscBurst } = GVISOR_ANNOTATION;
    expect(await asOperator({ [qdisc]: "tbf", [qdiscRate]: "1000", [qdiscBurst]: "131072" })).toBe("accepted");
  });

  it("that start from archives of their own", async () =>
    expect(await asOperator({ [TAR]: `${own()}/user.tar` })).toBe("accepted"));

  it("whose start and end wait for the node's mounter", async () => {
    const agent = { startupProbe: { ...request("restores"), timeoutSeconds: 90, periodSeconds: 1 } };
    const user = { lifecycle: { preStop: request("stops") } };
    expect(await tryPod({ agent, user, isOwned: true })).toBe("accepted");
    // What says nothing of where is the pod itself.
    expect(await tryPod({ user: { livenessProbe: { httpGet: { port: 80 } } } })).toBe("accepted");
  });

  it.each<[string, () => SandboxPodParts]>([
    ["another port of the node", () => ({ agent: { startupProbe: request("restores", { port: 10_250 }) } })],
    ["another address", () => ({ agent: { startupProbe: request("restores", { host: "169.254.169.254" }) } })],
    ["another path", () => ({ agent: { startupProbe: request("restores", { path: "/metrics" }) } })],
    [
      "the path of another namespace",
      () => ({ agent: { startupProbe: request("restores", { path: `/v1/restores/other/${SANDBOX_UID}` }) } }),
    ],
    ["headers", () => ({ agent: { startupProbe: request("restores", { httpHeaders: [{ name: "a", value: "b" }] }) } })],
    ["TLS", () => ({ agent: { startupProbe: request("restores", { scheme: "HTTPS" }) } })],
    ["another probe", () => ({ agent: { livenessProbe: request("restores") } })],
    ["the start of a user's container", () => ({ user: { startupProbe: request("restores") } })],
    ["the end of the agent", () => ({ agent: { lifecycle: { preStop: request("stops") } } })],
    ["the beginning of a user's container", () => ({ user: { lifecycle: { postStart: request("stops") } } })],
    ["an end by the path of a start", () => ({ user: { lifecycle: { preStop: request("restores") } } })],
    [
      "a bare connection",
      () => ({ agent: { startupProbe: { tcpSocket: { host: "127.0.0.1", port: RESTORES.port } } } }),
    ],
  ])("but none that has its node ask for %s", async (_, parts) =>
    expect(await tryPod({ ...parts(), isOwned: true })).toContain(
      "a probe or lifecycle hook with a host is not allowed",
    ),
  );

  it("but none that asks for a sandbox that it does not belong to", async () =>
    expect(await tryPod({ agent: { startupProbe: request("restores") } })).toContain(
      "a probe or lifecycle hook with a host is not allowed",
    ));

  it.each([
    ["elsewhere", () => "/etc/shadow"],
    ["another namespace", () => `${RESTORES.folder}/other/${SANDBOX_UID}/user.tar`],
    ["another sandbox", () => `${RESTORES.folder}/${stage.namespace}/00000000-0000-4000-8000-00000000ffff/user.tar`],
    ["another container", () => `${own()}/sandbox-sidecar.tar`],
    ["the folder itself", () => own()],
    ["a way out of it", () => `${own()}/../user.tar`],
    ["a detour", () => `${own()}/./user.tar`],
    ["a doubled slash", () => `${own()}//user.tar`],
    ["a line more", () => `${own()}/user.tar\n`],
    ["nothing", () => ""],
  ])("but not from an archive of %s", async (_, path) => {
    expect(await asOperator({ [TAR]: path() })).toContain("a sandbox starts only from archives of its own");
  });

  it("but not from an archive of a container that it has not, or of no sandbox", async () => {
    const message = "a sandbox starts only from archives of its own";
    const other = `${GVISOR_ANNOTATION.rootfsTar}other`;
    expect(await asOperator({ [other]: `${own()}/other.tar` })).toContain(message);
    expect(await tryPod({ annotations: { [TAR]: `${own()}/user.tar` } })).toContain(message);
  });

  it.each([
    "dev.gvisor.flag.network",
    "dev.gvisor.flag.debug-log",
    "dev.gvisor.spec.mount.x.source",
    "dev.gvisor.tar.other",
  ])("but not with %s", async (key) =>
    expect(await asOperator({ [key]: "x" })).toContain("may be these only: dev.gvisor.flag.overlay2"),
  );
});

describe("nobody but the operator", () => {
  it.each<[string, Draft]>([
    ["isola.run/sandbox", { "isola.run/sandbox": "true" }],
    ["a label that opens the internet", { "isola.run/allow-ipv4-internet-egress": "true" }],
    ["any label of the platform", { "isola.run/anything": "" }],
    ["the name of sandboxes", { "app.kubernetes.io/name": "isola-sandbox" }],
    ["the operator as manager", { "app.kubernetes.io/managed-by": "isola-operator" }],
  ])("makes a pod with %s", async (_, labels) =>
    expect(await asMallory({ labels })).toContain(
      "denied request: only the operator makes pods with the labels of a sandbox",
    ),
  );

  it.each(["dev.gvisor.flag.overlay2", TAR, "dev.gvisor.anything"])("makes a pod with %s", async (key) => {
    const answer = await asMallory({ annotations: { [key]: `${own()}/user.tar` } });
    expect(answer).toContain("denied request: only the operator sets annotations that begin with dev.gvisor.");
  });

  it("may still make a pod of another application", async () => {
    const labels = {
      "app.kubernetes.io/name": "helper",
      "app.kubernetes.io/managed-by": "Helm",
      "app.kubernetes.io/instance": "h",
    };
    expect(await asMallory({ labels, annotations: { note: "dev.gvisor." } })).toBe("accepted");
  });

  const LABELS: readonly (readonly [string, Draft])[] = [
    ["opens the internet to a sandbox", { "isola.run/allow-ipv6-internet-egress": "true" }],
    ["closes it", { "isola.run/allow-ipv4-internet-egress": null }],
    ["changes a label of it", { "isola.run/sandbox": "false" }],
    ["takes it out of the default policy", { "app.kubernetes.io/name": null }],
    ["gives it the ranges of another", { "app.kubernetes.io/instance": "two" }],
    ["takes it from the operator", { "app.kubernetes.io/managed-by": "mallory" }],
  ];
  it.each(LABELS)("%s", async (_, labels) => {
    const message = "denied request: only the operator changes the labels of a sandbox";
    expect(await patch({ metadata: { labels } })).toContain(message);
    expect(await patch({ metadata: { labels } }, "status")).toContain(message);
  });

  it.each<[string, Draft]>([
    ["adds a setting of the kernel", { [TAR]: "/etc/shadow" }],
    ["changes one", { [GVISOR_ANNOTATION.overlay]: "none" }],
    ["removes one", { [GVISOR_ANNOTATION.overlay]: null }],
  ])("%s", async (_, annotations) => {
    const message = "denied request: only the operator sets annotations that begin with dev.gvisor.";
    expect(await patch({ metadata: { annotations } })).toContain(message);
    expect(await patch({ metadata: { annotations } }, "status")).toContain(message);
  });

  it("changes the agent's image", async () => {
    const path = "/spec/containers/0/image";
    const answer = await patch([{ op: "replace", path, value: "example.org/evil:1" }]);
    expect(answer).toContain("denied request: the images of a running pod are not to be changed");
  });

  it("may still change other labels and annotations", async () =>
    expect(await patch({ metadata: { labels: { team: "b" }, annotations: { note: "c" } } })).toBe("accepted"));
});

describe("a container that joins a sandbox later", () => {
  const joining = (members: Draft, client = stage.mallory) =>
    patch({ spec: { ephemeralContainers: [container({ name: "later", ...members })] } }, "ephemeralcontainers", client);

  it("may look on", async () => expect(await joining({ targetContainerName: "user" })).toBe("accepted"));

  it.each<[string, Draft, string]>([
    ["is not privileged", { securityContext: { privileged: true } }, "later: privileged is not allowed"],
    [
      "does not trace",
      { securityContext: { capabilities: { add: ["SYS_PTRACE"] } } },
      "later: capabilities may be added",
    ],
    [
      "bears no marks",
      { securityContext: { capabilities: { add: ["MAC_ADMIN"] } } },
      "later: capabilities may be added",
    ],
    ["sees no other /proc", { securityContext: { procMount: "Unmasked" } }, "procMount"],
  ])("%s", async (_, members, message) => expect(await joining(members)).toContain(message));

  it("is not privileged, whoever asks", async () => {
    for (const client of [stage.operator, stage.admin]) {
      expect(await joining({ securityContext: { privileged: true } }, client)).toContain(
        "later: privileged is not allowed",
      );
    }
  });
});

describe("the cluster's own accounts go on", () => {
  it("kubelet writes a sandbox's status", async () => {
    const status = { phase: "Running", podIP: "10.0.0.9", podIPs: [{ ip: "10.0.0.9" }] };
    expect(await patch({ status }, "status", stage.as("system:node:node1"))).toBe("accepted");
  });

  it("the scheduler binds it, and writes why it cannot", async () => {
    const scheduler = stage.as("system:kube-scheduler");
    const status = {
      conditions: [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message: "none" }],
    };
    expect(await patch({ status }, "status", scheduler)).toBe("accepted");
    const { name, namespace } = await stage.operator
      .create(PODS, sandboxPod(stage.namespace), call())
      .then(({ metadata }) => metadata);
    const binding = { metadata: { name, namespace }, target: { kind: "Node", name: "test-nowhere" } };
    const bindings = { ...PODS, plural: `pods/${name}/binding`, kind: "Binding" };
    expect(await outcome(scheduler.create(bindings as never, binding as never, call(), DRY))).toBe("accepted");
  });

  it("the garbage collector changes owners, and removes it", async () => {
    const collector = stage.as("system:serviceaccount:kube-system:generic-garbage-collector");
    expect(await patch({ metadata: { ownerReferences: [], finalizers: [] } }, undefined, collector)).toBe("accepted");
    const removed = collector.remove(PODS, victim.metadata, call(), { gracePeriodSeconds: 0 });
    expect(await outcome(removed)).toBe("accepted");
  });
});
