import { ANNOTATION } from "./names.ts";
import type { KubeObject } from "./object.ts";

/**
 * When an object was created, in milliseconds since the Unix epoch. The API server counts seconds
 * only: within its second the creator's clock decides, so that what one creator makes one after the
 * other keeps its order. An object of somebody who does not say so counts as made at the second's beginning.
 */
export function createdAtMsOf({ metadata }: Pick<KubeObject, "metadata">): number {
  const secondMs = Date.parse(metadata.creationTimestamp ?? "");
  const saidMs = Number(metadata.annotations?.[ANNOTATION.createdAtMs] ?? secondMs);
  if (!Number.isInteger(saidMs)) return secondMs;
  return Math.min(Math.max(saidMs, secondMs), secondMs + 999);
}
