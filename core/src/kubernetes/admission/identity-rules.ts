import type { AdmissionValidation } from "../cluster-objects.ts";
import {
  GVISOR_ANNOTATION,
  GVISOR_ANNOTATION_PREFIX,
  LABEL,
  OWN_LABEL_PREFIX,
  SANDBOX_APP,
  SANDBOX_MANAGER,
} from "../names.ts";
import { celList, celString, refuse } from "./cel-text.ts";
import type { FenceConfig } from "./fence-config.ts";
import { isOwnArchive } from "./restore-shape.ts";

const { rootfsTar, ...SETTINGS } = GVISOR_ANNOTATION;
/** A label by which network policies or people take a pod for a certain sandbox. */
const OWN_LABEL = `(key.startsWith(${celString(OWN_LABEL_PREFIX)}) || key in ${celList([LABEL.name, LABEL.instance, LABEL.managedBy])})`;
const GVISOR = `key.startsWith(${celString(GVISOR_ANNOTATION_PREFIX)})`;

/**
 * Who may say that a pod is a sandbox and set up its kernel: the operator. Speaks of
 * `variables.operator`, and of labels and annotations as they were and are.
 */
export function identityRules(config: FenceConfig): readonly AdmissionValidation[] {
  return [
    refuse(
      `!variables.operator && request.operation == "CREATE" && (${[
        `variables.labels.exists(key, key.startsWith(${celString(OWN_LABEL_PREFIX)}))`,
        `variables.labels[?${celString(LABEL.name)}].orValue("") == ${celString(SANDBOX_APP)}`,
        `variables.labels[?${celString(LABEL.managedBy)}].orValue("") == ${celString(SANDBOX_MANAGER)}`,
      ].join(" || ")})`,
      "only the operator makes pods with the labels of a sandbox: create a Sandbox instead",
    ),
    refuse(
      `!variables.operator && request.operation == "UPDATE" && ${differs("labels", "oldLabels", OWN_LABEL)}`,
      "only the operator changes the labels of a sandbox: network policies select by them",
    ),
    refuse(
      `!variables.operator && ${differs("annotations", "oldAnnotations", GVISOR)}`,
      `only the operator sets annotations that begin with ${GVISOR_ANNOTATION_PREFIX}: they configure the sandbox's kernel`,
    ),
    refuse(
      `!variables.operator && request.operation == "UPDATE" && variables.images != variables.oldImages`,
      "the images of a running pod are not to be changed: create another sandbox",
    ),
    refuse(
      `variables.annotations.exists(key, ${GVISOR} && !key.startsWith(${celString(rootfsTar)}) && !(key in ${celList(Object.values(SETTINGS))}))`,
      `annotations that begin with ${GVISOR_ANNOTATION_PREFIX} may be these only: ${[...Object.values(SETTINGS), `${rootfsTar}*`].join(", ")}`,
    ),
    archiveRule(config),
  ];
}

/** Some key for which `holds` has come, gone, or another value. */
function differs(now: string, before: string, holds: string): string {
  const one = (a: string, b: string): string =>
    `variables.${a}.exists(key, ${holds} && variables.${b}[?key].orValue("") != variables.${a}[key] || ${holds} && !(key in variables.${b}))`;
  return `(${one(now, before)} || ${one(before, now)})`;
}

/** What is there already stays as it is: a pod must always be able to end, whoever its owners are by then. */
function archiveRule({ restores }: FenceConfig): AdmissionValidation {
  const archive = `key.startsWith(${celString(rootfsTar)}) && !(key in variables.oldAnnotations && variables.oldAnnotations[key] == variables.annotations[key])`;
  if (restores === undefined) {
    return refuse(
      `variables.annotations.exists(key, ${archive})`,
      "no sandbox starts from an archive: snapshots are off",
    );
  }
  return refuse(
    `variables.annotations.exists(key, ${archive} && !${isOwnArchive(restores)})`,
    `a sandbox starts only from archives of its own: ${restores.folder}/<namespace>/<sandbox's uid>/<container>.tar`,
  );
}
