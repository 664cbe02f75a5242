import { NETWORK_TRIAL } from "#core/kubernetes/names.ts";
import type { LabelSelector, NetworkPolicy } from "#core/kubernetes/network-policy.ts";
import type { Container, EnvVar, Pod } from "#core/kubernetes/pod.ts";
import { TRIAL_COMMANDS, TRIAL_PORTS } from "./network-trial-commands.ts";

/** What a trial says of a cluster's network policies. */
export type NetworkVerdict = "enforced" | "not-enforced" | "unknown";

/** Where and of what the trial's objects are made. */
export interface NetworkTrial {
  readonly namespace: string;
  /** An image with the agent's runtime. */
  readonly image: string;
  readonly imagePullPolicy: NonNullable<Container["imagePullPolicy"]>;
  readonly imagePullSecrets: readonly string[];
}

const NOBODY = 65_532;
/** Exit codes of the client. */
const VERDICTS: Readonly<Record<number, NetworkVerdict>> = { 0: "enforced", 3: "not-enforced" };
const LIFETIME_SECONDS = 120;

/** Lets everybody reach one port of the server, and nobody the other. */
export function trialPolicy({ namespace }: NetworkTrial): NetworkPolicy {
  return {
    metadata: { name: NETWORK_TRIAL.policy, namespace },
    spec: {
      podSelector: { matchLabels: labelsOf("server") },
      policyTypes: ["Ingress"],
      ingress: [{ ports: [{ protocol: "TCP", port: TRIAL_PORTS.open }] }],
    },
  };
}

/** Listens on both ports. */
export function trialServer(trial: NetworkTrial): Pod {
  return trialPod(trial, "server", { name: "POD_IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } });
}

/** Connects to both: it has to reach the open one, and in the end not the closed one. */
export function trialClient(trial: NetworkTrial, serverIp: string): Pod {
  return trialPod(trial, "client", { name: "SERVER_IP", value: serverIp });
}

/** What the client's end says; undefined while it has not ended. */
export function trialVerdict({ status }: Pod): NetworkVerdict | undefined {
  const ended = status?.containerStatuses?.[0]?.state?.terminated;
  if (ended !== undefined) return VERDICTS[ended.exitCode] ?? "unknown";
  return status?.phase === "Failed" ? "unknown" : undefined;
}

/**
 * Names of policies, beside the trial's own, that select its server. Policies add up, so one of
 * them may have opened the closed port: that it was reached then says nothing.
 */
export function othersSay(policies: readonly NetworkPolicy[]): readonly string[] {
  return policies
    .filter(({ metadata, spec }) => metadata.name !== NETWORK_TRIAL.policy && selects(spec.podSelector))
    .map(({ metadata }) => metadata.name);
}

function selects({ matchLabels = {}, matchExpressions = [] }: LabelSelector = {}): boolean {
  const labels: Readonly<Record<string, string | undefined>> = labelsOf("server");
  const tests = {
    In: (value: string | undefined, values: readonly string[]) => value !== undefined && values.includes(value),
    NotIn: (value: string | undefined, values: readonly string[]) => value === undefined || !values.includes(value),
    Exists: (value: string | undefined) => value !== undefined,
    DoesNotExist: (value: string | undefined) => value === undefined,
  };
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => tests[operator](labels[key], values))
  );
}

function labelsOf(role: keyof typeof TRIAL_COMMANDS): Readonly<Record<string, string>> {
  return { [NETWORK_TRIAL.label]: role };
}

function trialPod(
  { namespace, image, imagePullPolicy, imagePullSecrets }: NetworkTrial,
  role: keyof typeof TRIAL_COMMANDS,
  address: EnvVar,
): Pod {
  const container: Container = {
    name: "check",
    image,
    imagePullPolicy,
    env: [address],
    command: TRIAL_COMMANDS[role],
    resources: { requests: { cpu: "10m", memory: "48Mi" }, limits: { memory: "192Mi" } },
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
      runAsNonRoot: true,
      runAsUser: NOBODY,
      seccompProfile: { type: "RuntimeDefault" },
    },
  };
  return {
    metadata: { name: NETWORK_TRIAL[role], namespace, labels: labelsOf(role) },
    spec: {
      containers: [container],
      restartPolicy: "Never",
      // Whatever becomes of the operator: they end by themselves.
      activeDeadlineSeconds: LIFETIME_SECONDS,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: 0,
      ...(imagePullSecrets.length === 0 ? {} : { imagePullSecrets: imagePullSecrets.map((name) => ({ name })) }),
    },
  };
}
