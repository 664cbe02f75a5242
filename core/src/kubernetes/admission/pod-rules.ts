import type { AdmissionValidation } from "../cluster-objects.ts";
import { celList, refuse, refuseEach } from "./cel-text.ts";

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
        `variables.spec.?${member}.orValue(false)`,
        `${member} is not allowed: ${subject} shares nothing with its node`,
      ),
    ),
    refuse(
      `variables.spec.?priorityClassName.orValue("").startsWith("system-")`,
      `priorityClassName is not allowed to begin with system-: ${subject} is no part of the cluster`,
    ),
    refuse(
      `variables.spec.?resourceClaims.orValue([]).size() > 0`,
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
  return [
    refuseEach(
      "variables.spec.?volumes.orValue([])",
      `!(${known})`,
      `volumes are allowed of these kinds only: ${VOLUME_KINDS.join(", ")}`,
    ),
    refuseEach(
      "variables.spec.?volumes.orValue([])",
      "has(it.projected) && it.projected.?sources.orValue([]).exists(source, has(source.serviceAccountToken) || has(source.podCertificate))",
      "a volume with a service account's token or a pod's certificate is not allowed: a sandbox has no identity in the cluster",
    ),
  ];
}

function podSecurityRules(): readonly AdmissionValidation[] {
  const context = "variables.spec.?securityContext";
  return [
    refuse(`${context}.?sysctls.orValue([]).size() > 0`, "sysctls are not allowed"),
    refuse(`${context}.?windowsOptions.hasValue()`, "windowsOptions are not allowed"),
    ...["seccompProfile", "appArmorProfile"].map((member) =>
      refuse(`${context}.?${member}.?type.orValue("") == "Unconfined"`, `${member} Unconfined is not allowed`),
    ),
    refuse(
      ["user", "role", "type"].map((member) => `${context}.?seLinuxOptions.?${member}.orValue("") != ""`).join(" || "),
      "seLinuxOptions may set the level only",
    ),
  ];
}
