import { ANNOTATION } from "./names.ts";
import type { KubeObject } from "./object.ts";

/** As the API server makes them. */
const UID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Uid of the pod that clients use, or are about to; undefined when none is noted. What is no uid
 * counts as nothing: anybody may write an annotation.
 */
export function usedPodUid({ metadata }: Pick<KubeObject, "metadata">): string | undefined {
  const uid = metadata.annotations?.[ANNOTATION.usedPod];
  return uid !== undefined && UID.test(uid) ? uid : undefined;
}

/** Whether a pod is there in place of the one that clients have used. */
export function isSecondPod(sandbox: Pick<KubeObject, "metadata">, pod: Pick<KubeObject, "metadata">): boolean {
  const used = usedPodUid(sandbox);
  return used !== undefined && pod.metadata.uid !== used;
}
