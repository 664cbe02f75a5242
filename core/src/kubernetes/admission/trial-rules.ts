import type { AdmissionValidation } from "../cluster-objects.ts";
import { NETWORK_TRIAL } from "../names.ts";
import { celList, celString, refuse } from "./cel-text.ts";
import type { NetworkTrialConfig } from "./fence-config.ts";

/** Pods of the trial live for two minutes. */
const LONGEST_SECONDS = 300;
const ROLES = ["server", "client"] as const;
const NAME = `object.metadata.?name.orValue("")`;
const LABELS = "object.metadata.?labels.orValue({})";
const HELD =
  "object.metadata.?finalizers.orValue([]).size() > 0 || object.metadata.?ownerReferences.orValue([]).size() > 0";
/** Amounts, and no devices. */
const AMOUNTS = celList(["cpu", "memory", "ephemeral-storage"]);
/** The only annotation that the cluster itself adds. */
const LIMIT_RANGER = celString("kubernetes.io/limit-ranger");

/**
 * What the operator's account may run in the system namespace: the trial's two pods, to the
 * letter. That namespace holds the keys, and a pod with the gateway's labels would be taken for it.
 */
export function trialPodRules(trial: NetworkTrialConfig): readonly AdmissionValidation[] {
  return [
    refuse(
      `!(${NAME} in ${celList(ROLES.map((role) => NETWORK_TRIAL[role]))})`,
      `the operator runs no pods here but ${ROLES.map((role) => NETWORK_TRIAL[role]).join(" and ")}`,
    ),
    refuse(
      `!(${ROLES.map((role) => `${isNamed(role)} && ${hasLabel(LABELS, role)}`).join(" || ")})`,
      `a trial's pod has the label ${NETWORK_TRIAL.label} with its role and no other: Services and network policies select by labels`,
    ),
    refuse(
      `variables.annotations.exists(key, key != ${LIMIT_RANGER})`,
      "a trial's pod has no annotations: container engines and network plug-ins listen to them",
    ),
    refuse(HELD, "a trial's pod has no finalizers and no owners: it goes when it is deleted"),
    ...specRules(),
    ...containersRules(trial),
  ];
}

/** The one network policy that the operator's account may write there. */
export function trialPolicyRules(): readonly AdmissionValidation[] {
  const selector = "object.spec.?podSelector";
  return [
    refuse(
      `${NAME} != ${celString(NETWORK_TRIAL.policy)}`,
      `the operator writes no network policy here but ${NETWORK_TRIAL.policy}`,
    ),
    refuse(
      `!${hasLabel(`${selector}.?matchLabels.orValue({})`, "server")} || ${selector}.?matchExpressions.orValue([]).size() > 0`,
      `a trial's network policy selects the pods with ${NETWORK_TRIAL.label}=server and no others`,
    ),
    refuse(
      `object.spec.?policyTypes.orValue([]) != ["Ingress"]`,
      "a trial's network policy is about ingress and nothing else",
    ),
    refuse(HELD, "a trial's network policy has no finalizers and no owners: it goes when it is deleted"),
  ];
}

function specRules(): readonly AdmissionValidation[] {
  const spec = "object.spec";
  return [
    refuse(
      `${spec}.?serviceAccountName.orValue("") != "default"`,
      "a trial's pod has the service account default: it has no rights",
    ),
    refuse(
      `${spec}.?automountServiceAccountToken.orValue(true)`,
      "automountServiceAccountToken must be false: a trial has no identity in the cluster",
    ),
    refuse(`${spec}.?volumes.orValue([]).size() > 0`, "a trial's pod has no volumes"),
    refuse(`${spec}.?runtimeClassName.orValue("") != ""`, "a trial's pod has no runtime class"),
    refuse(
      `request.operation == "CREATE" && ${spec}.?nodeName.orValue("") != ""`,
      "nodeName is not allowed: the scheduler chooses the node",
    ),
    refuse(
      `${spec}.?restartPolicy.orValue("") != "Never" || !(${spec}.?activeDeadlineSeconds.orValue(${LONGEST_SECONDS + 1}) <= ${LONGEST_SECONDS}) || !(${spec}.?terminationGracePeriodSeconds.orValue(30) <= 1)`,
      `a trial's pod ends by itself: restartPolicy Never, activeDeadlineSeconds at most ${LONGEST_SECONDS}, terminationGracePeriodSeconds at most 1`,
    ),
    refuse(
      `${spec}.containers.size() != 1 || ${spec}.?initContainers.orValue([]).size() > 0 || ${spec}.?ephemeralContainers.orValue([]).size() > 0`,
      "a trial's pod has one container, and neither init nor ephemeral containers",
    ),
  ];
}

/** Speak of all containers, though there is one: the rules do not rest on one another. */
function containersRules({ imageRepository, commands }: NetworkTrialConfig): readonly AdmissionValidation[] {
  const some = (fault: string, message: string): AdmissionValidation =>
    refuse(`variables.containers.exists(it, ${fault})`, message);
  const context = "it.?securityContext";
  const { length } = imageRepository;
  const isAgent = `it.?image.orValue("").startsWith(${celString(imageRepository)}) && it.image.substring(${length}).matches("^(:[^/:@]+)?(@[^/@]+)?$")`;
  const isCommand = ROLES.map(
    (role) => `${isNamed(role)} && it.?command.orValue([]) == ${celList(commands[role])}`,
  ).join(" || ");
  const isAddress = `variable.name == "POD_IP" && variable.?valueFrom.?fieldRef.?fieldPath.orValue("") == "status.podIP" || variable.name == "SERVER_IP" && !has(variable.valueFrom) && isIP(variable.?value.orValue(""))`;
  return [
    some(`!(${isAgent})`, `a trial runs the agent's image: ${imageRepository}`),
    some(`!(${isCommand}) || it.?args.orValue([]).size() > 0`, "a trial runs its own command and no other"),
    some(
      `it.?envFrom.orValue([]).size() > 0 || !it.?env.orValue([]).all(variable, ${isAddress})`,
      "a trial's environment holds addresses and nothing else: no Secret, no setting of its runtime",
    ),
    some(
      `!${context}.?runAsNonRoot.orValue(false) || ${context}.?runAsUser.orValue(1) == 0`,
      "a trial does not run as root: runAsNonRoot must be true",
    ),
    some(
      `${context}.?allowPrivilegeEscalation.orValue(true) || ${context}.?privileged.orValue(false)`,
      "a trial gains no privileges: allowPrivilegeEscalation must be false, and privileged is not allowed",
    ),
    some(
      `!("ALL" in ${context}.?capabilities.?drop.orValue([])) || ${context}.?capabilities.?add.orValue([]).size() > 0`,
      "a trial has no capabilities: it drops ALL and adds none",
    ),
    some(`${context}.?seccompProfile.?type.orValue("") != "RuntimeDefault"`, "seccompProfile must be RuntimeDefault"),
    some(
      `it.?ports.orValue([]).size() > 0 || has(it.lifecycle) || has(it.livenessProbe) || has(it.readinessProbe) || has(it.startupProbe)`,
      "a trial's container names no ports and has neither probes nor lifecycle hooks",
    ),
    some(
      `["requests", "limits"].exists(kind, (kind == "requests" ? it.?resources.?requests.orValue({}) : it.?resources.?limits.orValue({})).exists(name, !(name in ${AMOUNTS})))`,
      "a trial asks for no devices",
    ),
  ];
}

function isNamed(role: (typeof ROLES)[number]): string {
  return `${NAME} == ${celString(NETWORK_TRIAL[role])}`;
}

function hasLabel(labels: string, role: (typeof ROLES)[number]): string {
  return `(${labels} == {${celString(NETWORK_TRIAL.label)}: ${celString(role)}})`;
}
