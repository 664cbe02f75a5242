import type { AdmissionValidation } from "../cluster-objects.ts";
import { AGENT_CONTAINER } from "../names.ts";
import { celList, celString, orAbsent, refuseEach } from "./cel-text.ts";
import type { FenceConfig } from "./fence-config.ts";
import { isRestoreProbe, isStopHook } from "./restore-shape.ts";
import { securityContextRules } from "./security-context-rules.ts";

const LIST = "variables.containers";
const START = "it.?startupProbe";
const STOP = "it.?lifecycle.?preStop";
/** Everything that the node does to a container by request. */
const HANDLERS = ["it.?livenessProbe", "it.?readinessProbe", START, "it.?lifecycle.?postStart", STOP];
const ADDED = orAbsent("it.?securityContext.?capabilities.?add", "[]");

/**
 * What a container asks for that leads out of its pod. The expressions speak of
 * `variables.containers` and `variables.operator`: whether the operator asks.
 */
export function containerRules({ capabilities, restores }: FenceConfig): readonly AdmissionValidation[] {
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
      HANDLERS.flatMap((handler) => hostFaults(handler, restores)).join(" || "),
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

/** The two requests that the operator has a node make to its mounter are none. */
function hostFaults(handler: string, restores: FenceConfig["restores"]): readonly string[] {
  const given = (action: string): string => `${orAbsent(`${handler}.?${action}.?host`, '""')} != ""`;
  const isOwn =
    restores === undefined
      ? undefined
      : handler === START
        ? isRestoreProbe(`${START}.?httpGet`, restores)
        : handler === STOP
          ? isStopHook(`${STOP}.?httpGet`, restores)
          : undefined;
  return [isOwn === undefined ? given("httpGet") : `${given("httpGet")} && !(${isOwn})`, given("tcpSocket")];
}

/** As Kubernetes writes it. */
function short(capability: string): string {
  return capability.replace(/^CAP_/, "");
}
