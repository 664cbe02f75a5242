import type { NetworkPolicy } from "#core/kubernetes/network-policy.ts";
import type { Container, Pod } from "#core/kubernetes/pod.ts";
import { AGENT_FILES } from "#sidecar/manifest.ts";

/** What a trial says of a cluster's network policies. */
export type NetworkVerdict = "enforced" | "not-enforced" | "unknown";

/** Where and of what the trial's objects are made. */
export interface NetworkTrial {
  readonly namespace: string;
  /** An image with the agent's runtime. */
  readonly image: string;
  readonly imagePullSecrets: readonly string[];
}

export const TRIAL_NAMES = {
  policy: "atoll-network-check",
  server: "atoll-network-check-server",
  client: "atoll-network-check-client",
} as const;

const LABEL = "atoll.run/network-check";
/** Open to all by the policy, and closed by it. */
const PORTS = { open: 18_181, closed: 18_182 } as const;
const NOBODY = 65_532;
/** Exit codes of the client. */
const VERDICTS: Readonly<Record<number, NetworkVerdict>> = { 0: "enforced", 3: "not-enforced" };
/** A policy that is new takes a while to reach the nodes. */
const PATIENCE_MS = 20_000;
const CONNECT_MS = 1500;
const LIFETIME_SECONDS = 120;

/** Lets everybody reach one port of the server, and nobody the other. */
export function trialPolicy({ namespace }: NetworkTrial): NetworkPolicy {
  return {
    metadata: { name: TRIAL_NAMES.policy, namespace, labels: { [LABEL]: "policy" } },
    spec: {
      podSelector: { matchLabels: { [LABEL]: "server" } },
      policyTypes: ["Ingress"],
      ingress: [{ ports: [{ protocol: "TCP", port: PORTS.open }] }],
    },
  };
}

/** Listens on both ports. */
export function trialServer(trial: NetworkTrial): Pod {
  const listen = `for (const port of [${PORTS.open}, ${PORTS.closed}]) Bun.listen({ hostname: process.env.POD_IP, port, socket: { open(s) { s.end(); }, data() {} } });`;
  return trialPod(trial, TRIAL_NAMES.server, "server", listen);
}

/** Connects to both: it has to reach the open one, and in the end not the closed one. */
export function trialClient(trial: NetworkTrial, serverIp: string): Pod {
  const program = `
    const hostname = ${JSON.stringify(serverIp)};
    const reach = (port) => Promise.race([
      Bun.connect({ hostname, port, socket: { data() {} } }).then((s) => { s.end(); return true; }, () => false),
      Bun.sleep(${CONNECT_MS}).then(() => false),
    ]);
    const until = async (port, wanted) => {
      for (const end = Date.now() + ${PATIENCE_MS}; Date.now() < end; await Bun.sleep(200))
        if ((await reach(port)) === wanted) return true;
      return false;
    };
    if (!(await until(${PORTS.open}, true))) process.exit(4);
    process.exit((await until(${PORTS.closed}, false)) && (await reach(${PORTS.open})) ? 0 : 3);`;
  return trialPod(trial, TRIAL_NAMES.client, "client", program);
}

/** What the client's end says; undefined while it has not ended. */
export function trialVerdict({ status }: Pod): NetworkVerdict | undefined {
  const ended = status?.containerStatuses?.[0]?.state?.terminated;
  if (ended !== undefined) return VERDICTS[ended.exitCode] ?? "unknown";
  return status?.phase === "Failed" ? "unknown" : undefined;
}

function trialPod(
  { namespace, image, imagePullSecrets }: NetworkTrial,
  name: string,
  role: string,
  program: string,
): Pod {
  const container: Container = {
    name: "check",
    image,
    env: [{ name: "POD_IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } }],
    command: [AGENT_FILES.runtime, "--smol", "-e", program],
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
    metadata: { name, namespace, labels: { [LABEL]: role } },
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
