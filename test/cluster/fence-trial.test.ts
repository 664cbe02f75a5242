import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { NETWORK_TRIAL } from "#core/kubernetes/names.ts";
import type { NetworkPolicy } from "#core/kubernetes/network-policy.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { NETWORK_POLICIES, PODS } from "#core/kubernetes/resources.ts";
import { trialClient, trialPolicy, trialServer, type NetworkTrial } from "#operator/domain/network-check.ts";
import { TRIAL_COMMANDS } from "#operator/manifest.ts";
import { call } from "./cluster.ts";
import { AGENT_REPOSITORY, outcome, podDraft, setFenceStage, type Draft, type FenceStage } from "./fence-stage.ts";

const DRY = { dryRun: true };
const SERVICE_ACCOUNTS = { group: "", version: "v1", plural: "serviceaccounts", kind: "ServiceAccount" } as const;

let stage: FenceStage;
let trial: NetworkTrial;
beforeAll(async () => {
  stage = await setFenceStage();
  trial = {
    namespace: stage.system,
    image: `${AGENT_REPOSITORY}:1`,
    imagePullPolicy: "Never",
    imagePullSecrets: ["pull"],
  };
  const account = { metadata: { name: "mighty", namespace: stage.system } };
  await stage.admin.create({ ...SERVICE_ACCOUNTS, namespaced: true }, account, call());
}, 60_000);
afterAll(() => stage.clear());

const asOperator = (pod: Pod) => outcome(stage.operator.create(PODS, pod, call(), DRY));
const server = (spec: Draft = {}, metadata: Draft = {}): Pod => {
  const made = trialServer(trial);
  return { metadata: { ...made.metadata, ...metadata }, spec: { ...made.spec, ...spec } };
};
const check = (members: Draft): Draft => ({ containers: [{ ...server().spec.containers[0], ...members }] });
const context = (members: Draft): Draft =>
  check({ securityContext: { ...server().spec.containers[0]?.securityContext, ...members } });
const env = (...variables: Draft[]): Draft => check({ env: variables });
const volume = (source: Draft): Draft => ({ volumes: [{ name: "v", ...source }] });
const label = (labels: Draft): Draft => ({ labels: { ...server().metadata.labels, ...labels } });

describe("the operator's account makes in its own namespace", () => {
  it("the trial's pods", async () => {
    expect(await asOperator(trialServer(trial))).toBe("accepted");
    expect(await asOperator(trialClient(trial, "10.0.0.1"))).toBe("accepted");
    expect(await asOperator(trialClient(trial, "fd00::1"))).toBe("accepted");
  });

  it("them of an image with a digest too", async () => {
    const image = `${AGENT_REPOSITORY}@sha256:${"a".repeat(64)}`;
    expect(await asOperator(server(check({ image })))).toBe("accepted");
  });

  it("the trial's policy", async () =>
    expect(await outcome(stage.operator.create(NETWORK_POLICIES, trialPolicy(trial), call(), DRY))).toBe("accepted"));
});

const NO_OTHER_LABEL = "a trial's pod has the label atoll.run/network-check with its role and no other";
const IMAGE = `a trial runs the agent's image: ${AGENT_REPOSITORY}`;
const COMMAND = "a trial runs its own command and no other";
const ENVIRONMENT = "a trial's environment holds addresses and nothing else";
const NO_VOLUMES = "a trial's pod has no volumes";
const ENDS = "a trial's pod ends by itself";
const ONE_CONTAINER = "a trial's pod has one container, and neither init nor ephemeral containers";
const BARE = "a trial's container names no ports and has neither probes nor lifecycle hooks";
const NOWHERE = { "test.invalid/nowhere": "true" };
const SIDE = { name: "side", image: `${AGENT_REPOSITORY}:1` };

/** What a stolen token of the operator would be used for. */
const ATTACKS: readonly (readonly [string, () => Pod, string])[] = [
  ["of another name", () => server({}, { name: "x" }), "the operator runs no pods here but atoll-network-check-server"],
  ["of a generated name", () => server({}, { name: undefined, generateName: "atoll-" }), "the operator runs no pods"],
  ["of no trial at all", () => podDraft(stage.system, { runtimeClassName: undefined }), "the operator runs no pods"],
  ["with the gateway's labels", () => server({}, label({ "app.kubernetes.io/name": "atoll-gateway" })), NO_OTHER_LABEL],
  ["without its label", () => server({}, { labels: {} }), NO_OTHER_LABEL],
  ["with the other's label", () => server({}, label({ [NETWORK_TRIAL.label]: "client" })), NO_OTHER_LABEL],
  [
    "with a word to the network plug-in",
    () => server({}, { annotations: { "k8s.v1.cni.cncf.io/networks": "other" } }),
    "a trial's pod has no annotations",
  ],
  ["that stays", () => server({}, { finalizers: ["example.org/stay"] }), "a trial's pod has no finalizers"],
  [
    "of another account",
    () => server({ serviceAccountName: "mighty" }),
    "a trial's pod has the service account default",
  ],
  [
    "with its account's token",
    () => server({ automountServiceAccountToken: true }),
    "automountServiceAccountToken must be false",
  ],
  [
    "with a token as a volume",
    () => server(volume({ projected: { sources: [{ serviceAccountToken: { path: "token" } }] } })),
    NO_VOLUMES,
  ],
  ["with the keys as a volume", () => server(volume({ secret: { secretName: "atoll-agent-keys" } })), NO_VOLUMES],
  ["with a folder of the node", () => server(volume({ hostPath: { path: "/" } })), NO_VOLUMES],
  [
    "with the keys in its environment",
    () =>
      server(env({ name: "POD_IP", valueFrom: { secretKeyRef: { name: "atoll-agent-keys", key: "agentMasterKey" } } })),
    ENVIRONMENT,
  ],
  ["with all keys in it", () => server(check({ envFrom: [{ secretRef: { name: "atoll-api-keys" } }] })), ENVIRONMENT],
  ["with a setting of the runtime", () => server(env({ name: "BUN_OPTIONS", value: "--preload=/x" })), ENVIRONMENT],
  ["with a name for an address", () => server(env({ name: "SERVER_IP", value: "atoll-gateway" })), ENVIRONMENT],
  ["on a node of choice", () => server({ nodeName: "node1" }), "nodeName is not allowed"],
  ["of another runtime", () => server({ runtimeClassName: "gvisor" }), "a trial's pod has no runtime class"],
  ["without a deadline", () => server({ activeDeadlineSeconds: undefined }), ENDS],
  ["with a late one", () => server({ activeDeadlineSeconds: 301 }), ENDS],
  ["that takes its time to end", () => server({ terminationGracePeriodSeconds: 3600 }), ENDS],
  ["that comes back", () => server({ restartPolicy: "Always" }), ENDS],
  ["with a second container", () => server({ containers: [...server().spec.containers, SIDE] }), ONE_CONTAINER],
  ["with an init container", () => server({ initContainers: [SIDE] }), ONE_CONTAINER],
  ["of another image", () => server(check({ image: "registry.example:5000/evil:1" })), IMAGE],
  ["of an image further down", () => server(check({ image: `${AGENT_REPOSITORY}/evil:1` })), IMAGE],
  ["of an image of a longer name", () => server(check({ image: `${AGENT_REPOSITORY}-evil:1` })), IMAGE],
  ["of a registry that is named so", () => server(check({ image: `${AGENT_REPOSITORY}:5000/evil:1` })), IMAGE],
  ["with another command", () => server(check({ command: ["/bin/bun", "-e", "0"] })), COMMAND],
  ["with the other's command", () => server(check({ command: TRIAL_COMMANDS.client })), COMMAND],
  ["with the image's command", () => server(check({ command: undefined })), COMMAND],
  ["with an argument", () => server(check({ args: ["--x"] })), COMMAND],
  ["as root", () => server(context({ runAsNonRoot: false })), "a trial does not run as root"],
  ["as user 0", () => server(context({ runAsUser: 0 })), "a trial does not run as root"],
  [
    "that is privileged",
    () => server(context({ privileged: true, allowPrivilegeEscalation: undefined })),
    "a trial gains no privileges",
  ],
  [
    "that may gain privileges",
    () => server(context({ allowPrivilegeEscalation: true })),
    "a trial gains no privileges",
  ],
  ["with capabilities", () => server(context({ capabilities: {} })), "a trial has no capabilities"],
  [
    "with one more capability",
    () => server(context({ capabilities: { drop: ["ALL"], add: ["CHOWN"] } })),
    "a trial has no capabilities",
  ],
  [
    "without seccomp",
    () => server(context({ seccompProfile: { type: "Unconfined" } })),
    "seccompProfile must be RuntimeDefault",
  ],
  ["with a port of the node", () => server(check({ ports: [{ containerPort: 80, hostPort: 80 }] })), BARE],
  [
    "with a request by the node",
    () => server(check({ livenessProbe: { httpGet: { host: "169.254.169.254", port: 80 } } })),
    BARE,
  ],
  ["with a hook", () => server(check({ lifecycle: { preStop: { exec: { command: ["/bin/bun"] } } } })), BARE],
  [
    "with a device",
    () => server(check({ resources: { limits: { "example.org/gpu": "1" }, requests: { "example.org/gpu": "1" } } })),
    "a trial asks for no devices",
  ],
  ["in the node's network", () => server({ hostNetwork: true }), "hostNetwork is not allowed"],
  ["among the node's processes", () => server({ hostPID: true }), "hostPID is not allowed"],
  ["in the node's interprocess communication", () => server({ hostIPC: true }), "hostIPC is not allowed"],
  [
    "with sysctls",
    () => server({ securityContext: { sysctls: [{ name: "net.ipv4.ip_forward", value: "1" }] } }),
    "sysctls",
  ],
];

describe("the operator's account makes no pod in its own namespace", () => {
  it.each(ATTACKS)("%s", async (_, pod, message) => {
    const answer = await asOperator(pod());
    expect(answer).toMatch(/^403 pods ".*" is forbidden: ValidatingAdmissionPolicy/);
    expect(answer).toContain(`denied request: ${message}`);
  });

  it("that another container joins, or that becomes another", async () => {
    const { metadata } = await stage.operator.create(PODS, server({ nodeSelector: NOWHERE }), call());
    const joining = { spec: { ephemeralContainers: [{ ...SIDE, command: ["/bin/bun"] }] } };
    const later = { ...DRY, subresource: "ephemeralcontainers" };
    expect(await outcome(stage.operator.patch(PODS, metadata, joining, call(), later))).toContain(ONE_CONTAINER);
    const changed = { metadata: { labels: { "app.kubernetes.io/name": "atoll-gateway" } } };
    expect(await outcome(stage.operator.patch(PODS, metadata, changed, call(), DRY))).toContain(NO_OTHER_LABEL);
    expect(await outcome(stage.operator.remove(PODS, metadata, call(), { gracePeriodSeconds: 0 }))).toBe("accepted");
  });
});

describe("the operator's account writes no network policy in its own namespace", () => {
  const SELECTS = "a trial's network policy selects the pods with atoll.run/network-check=server and no others";
  const gateway = { "app.kubernetes.io/name": "atoll-gateway" };
  it.each<[string, Draft, Draft, string]>([
    ["of another name", { name: "open" }, {}, "the operator writes no network policy here but atoll-network-check"],
    ["for all pods", {}, { podSelector: {} }, SELECTS],
    ["for the gateway's", {}, { podSelector: { matchLabels: gateway } }, SELECTS],
    [
      "for what has no label",
      {},
      { podSelector: { matchExpressions: [{ key: NETWORK_TRIAL.label, operator: "DoesNotExist" }] } },
      SELECTS,
    ],
    [
      "about egress",
      {},
      { policyTypes: ["Egress"], ingress: undefined, egress: [{}] },
      "a trial's network policy is about",
    ],
    ["that stays", { finalizers: ["example.org/stay"] }, {}, "a trial's network policy has no finalizers"],
  ])("%s", async (_, metadata, spec, message) => {
    const made = trialPolicy(trial);
    const policy = {
      metadata: { ...made.metadata, ...metadata },
      spec: { ...made.spec, ...spec },
    } as NetworkPolicy;
    const answer = await outcome(stage.operator.create(NETWORK_POLICIES, policy, call(), DRY));
    expect(answer).toMatch(/^403 .*ValidatingAdmissionPolicy/);
    expect(answer).toContain(`denied request: ${message}`);
  });
});

it("the administrator and other namespaces are left alone", async () => {
  const pod = (namespace: string) => podDraft(namespace, { runtimeClassName: undefined });
  expect(await outcome(stage.admin.create(PODS, pod(stage.system), call(), DRY))).toBe("accepted");
  expect(await outcome(stage.operator.create(PODS, pod(stage.outside), call(), DRY))).toBe("accepted");
});
