import type { AdmissionValidation } from "../cluster-objects.ts";
import { GVISOR_NODE_LABEL } from "../names.ts";
import { celString, refuse } from "./cel-text.ts";
import { OWN_NODE } from "./own-node.ts";

/**
 * What the installer's account may write to a node. It runs on every node, beside sandboxes: with
 * the bare right to patch nodes, whoever breaks into one could draw the pods of the others to it.
 */
export function nodeRules(): readonly AdmissionValidation[] {
  const annotation = `key.startsWith(${celString(`${GVISOR_NODE_LABEL}-`)})`;
  return [
    refuse(`!(object.metadata.name in ${OWN_NODE})`, "the installer changes no node but the one that it runs on"),
    refuse(
      differs("labels", `key == ${celString(GVISOR_NODE_LABEL)}`),
      `the installer changes no label but ${GVISOR_NODE_LABEL}`,
    ),
    refuse(differs("annotations", annotation), `the installer changes no annotation but ${GVISOR_NODE_LABEL}-*`),
    refuse(
      `object.spec != oldObject.spec || ${member("object", "finalizers", "[]")} != ${member("oldObject", "finalizers", "[]")} || ${member("object", "ownerReferences", "[]")} != ${member("oldObject", "ownerReferences", "[]")}`,
      "the installer changes nothing of a node but labels and annotations: no taint, no finalizer, no owner",
    ),
  ];
}

function member(object: "object" | "oldObject", name: string, absent: "[]" | "{}"): string {
  return `${object}.metadata.?${name}.orValue(${absent})`;
}

/** Whether a key came, went or changed that is not `own`. */
function differs(name: "labels" | "annotations", own: string): string {
  const [now, before] = [member("object", name, "{}"), member("oldObject", name, "{}")];
  return `${now}.exists(key, !(${own}) && !(key in ${before} && ${before}[key] == ${now}[key])) || ${before}.exists(key, !(${own}) && !(key in ${now}))`;
}
