import type { AdmissionValidation } from "../cluster-objects.ts";
import { isGiven, orAbsent } from "./cel-text.ts";

/** What a pod's security context and a container's may not say alike; `context` is the chain that leads to it. */
export function securityContextRules(
  context: string,
  refuseIf: (fault: string, message: string) => AdmissionValidation,
): readonly AdmissionValidation[] {
  return [
    refuseIf(isGiven(`${context}.?windowsOptions`), "windowsOptions are not allowed"),
    ...["seccompProfile", "appArmorProfile"].map((member) =>
      refuseIf(
        `${orAbsent(`${context}.?${member}.?type`, '""')} == "Unconfined"`,
        `${member} Unconfined is not allowed`,
      ),
    ),
    refuseIf(
      ["user", "role", "type"]
        .map((member) => `${orAbsent(`${context}.?seLinuxOptions.?${member}`, '""')} != ""`)
        .join(" || "),
      "seLinuxOptions may set the level only",
    ),
  ];
}
