import type { AdmissionValidation } from "../cluster-objects.ts";
import { AGENT_CONTAINER } from "../names.ts";
import { celList, celString, orAbsent, refuseEach } from "./cel-text.ts";
import type { FenceConfig } from "./fence-config.ts";
import { securityContextRules } from "./security-context-rules.ts";

const LIST = "variables.containers";
const PROBES = ["livenessProbe", "readinessProbe", "startupProbe"].map((probe) => `it.?${probe}`);
const HOOKS = ["postStart", "preStop"].map((hook) => `it.?lifecycle.?${hook}`);
const ADDED = orAbsent("it.?securityContext.?capabilities.?add", "[]");

/**
 * What a container asks for that leads out of its pod. The expressions speak of
 * `variables.containers` and `variables.operator`: whether the operator asks.
 */
export function containerRules({ capabilities }: FenceConfig): readonly AdmissionValidation[] {
  const context = "it.?securityContext";
  return [
    refuseEach(LIST, orAbsent(`${context}.?privileged`, "false"), "privileged is not allowed"),
    refuseEach(LIST, `${orAbsent(`${context}.?procMount`, '"Default"')} != "Default"`, "procMount is not allowed"),
    ...securityContextRules(context, (fault, message) => refuseEach(LIST, fault, message)),
    capabilityRule(capabilities),
    refuseEach(
      LIST,
      `${orAbsent("it.?ports", "[]")}.exists(port, ${orAbsent("port.?hostPort", "0")} != 0)`,
      "hostPort is not allowed: nothing reaches a sandbox but its agent's port",
    ),
    refuseEach(LIST, `${orAbsent("it.?volumeDevices", "[]")}.size() > 0`, "volumeDevices are not allowed"),
    refuseEach(
      LIST,
      `!(variables.operator && it.name == ${celString(AGENT_CONTAINER)}) && (${hosts().join(" || ")})`,
      "a probe or lifecycle hook with a host is not allowed: the node would ask it, past all network policies",
    ),
  ];
}

/** Anything that is not listed is refused, in whatever spelling. */
function capabilityRule({ container, marks, agent }: FenceConfig["capabilities"]): AdmissionValidation {
  const any = celList(container.map(short));
  const marked = celList([...container, ...marks].map(short));
  const agents = celList(agent.map(short));
  const allowed = `(!variables.operator ? ${any} : it.name == ${celString(AGENT_CONTAINER)} ? ${agents} : ${marked})`;
  return refuseEach(
    LIST,
    `!${ADDED}.all(capability, capability in ${allowed})`,
    `capabilities may be added of these only: ${container.map(short).join(", ")}`,
  );
}

function hosts(): readonly string[] {
  return [...PROBES, ...HOOKS].flatMap((handler) =>
    ["httpGet", "tcpSocket"].map((action) => `${orAbsent(`${handler}.?${action}.?host`, '""')} != ""`),
  );
}

/** As Kubernetes writes it. */
function short(capability: string): string {
  return capability.replace(/^CAP_/, "");
}
