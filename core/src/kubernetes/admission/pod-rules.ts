import type { AdmissionValidation } from "../cluster-objects.ts";
import { celList, isGiven, orAbsent, refuse, refuseEach } from "./cel-text.ts";
import { securityContextRules } from "./security-context-rules.ts";

/** Volumes that bring nothing of the host along: those of the restricted pod security standard, and images. */
const VOLUME_KINDS = [
  "configMap",
  "csi",
  "downwardAPI",
  "emptyDir",
  "ephemeral",
  "image",
  "persistentVolumeClaim",
  "projected",
  "secret",
];

/**
 * Annotations to which network plug-ins and container engines listen: they give a pod a further
 * network, another address, or devices of the host.
 */
const ENGINE_ANNOTATIONS = [
  "k8s.v1.cni.cncf.io/",
  "v1.multus-cni.io/",
  "cni.projectcalico.org/",
  "k8s.ovn.org/",
  "io.cilium",
  "io.kubernetes.cri",
  "cdi.k8s.io/",
];

/**
 * What a pod asks for as a whole that leads out of it. The expressions speak of `variables.spec`
 * and `variables.annotations`, so that they fit pods and templates of pods alike.
 * `subject` is who they speak of.
 */
export function podRules(subject = "a sandbox"): readonly AdmissionValidation[] {
  return [
    ...["hostNetwork", "hostPID", "hostIPC", "hostUsers"].map((member) =>
      refuse(
        orAbsent(`variables.spec.?${member}`, "false"),
        `${member} is not allowed: ${subject} shares nothing with its node`,
      ),
    ),
    refuse(
      `${orAbsent("variables.spec.?priorityClassName", '""')}.startsWith("system-")`,
      `priorityClassName is not allowed to begin with system-: ${subject} is no part of the cluster`,
    ),
    refuse(
      `${orAbsent("variables.spec.?resourceClaims", "[]")}.size() > 0`,
      `resourceClaims is not allowed: ${subject} gets no device of its node`,
    ),
    ...volumeRules(),
    ...podSecurityRules(),
    refuse(
      `variables.annotations.exists(key, ${celList(ENGINE_ANNOTATIONS)}.exists(prefix, key.startsWith(prefix)))`,
      `annotations for network plug-ins and container engines are not allowed: ${ENGINE_ANNOTATIONS.join(", ")}`,
    ),
    refuse(
      `variables.annotations.exists(key, key.startsWith("container.apparmor.security.beta.kubernetes.io/") && variables.annotations[key] == "unconfined")`,
      "the AppArmor profile unconfined is not allowed",
    ),
  ];
}

function volumeRules(): readonly AdmissionValidation[] {
  const known = VOLUME_KINDS.map((kind) => `has(it.${kind})`).join(" || ");
  const volumes = orAbsent("variables.spec.?volumes", "[]");
  const sources = orAbsent("it.?projected.?sources", "[]");
  const identity = ["serviceAccountToken", "podCertificate"].map((kind) => isGiven(`source.?${kind}`)).join(" || ");
  return [
    refuseEach(volumes, `!(${known})`, `volumes are allowed of these kinds only: ${VOLUME_KINDS.join(", ")}`),
    refuseEach(
      volumes,
      `${sources}.exists(source, ${identity})`,
      "a volume with a service account's token or a pod's certificate is not allowed: a sandbox has no identity in the cluster",
    ),
  ];
}

function podSecurityRules(): readonly AdmissionValidation[] {
  const context = "variables.spec.?securityContext";
  return [
    refuse(`${orAbsent(`${context}.?sysctls`, "[]")}.size() > 0`, "sysctls are not allowed"),
    ...securityContextRules(context, refuse),
  ];
}
