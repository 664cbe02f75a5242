import { LABEL_PATTERN, UUID_PATTERN } from "#api/name-patterns.ts";
import type { RestoreOwner } from "#core/kubernetes/names.ts";

/** What kubelet asks about one sandbox: whether its containers may start, or one may stop. */
export interface HoldQuestion {
  readonly kind: "restore" | "stop";
  readonly owner: RestoreOwner;
}

const KINDS: Readonly<Record<string, HoldQuestion["kind"]>> = { restores: "restore", stops: "stop" };
const MOST_NAMESPACE = 63;

/** Reads `/v1/restores/NAMESPACE/UID` and `/v1/stops/NAMESPACE/UID`, to the letter; undefined for all else. */
export function parseHoldPath(path: string): HoldQuestion | undefined {
  const [empty, version, plural = "", namespace = "", sandboxUid = "", ...more] = path.split("/");
  const kind = Object.hasOwn(KINDS, plural) ? KINDS[plural] : undefined;
  if (empty !== "" || version !== "v1" || kind === undefined || more.length > 0) return undefined;
  if (namespace.length > MOST_NAMESPACE || !LABEL_PATTERN.test(namespace) || !UUID_PATTERN.test(sandboxUid))
    return undefined;
  return { kind, owner: { namespace, sandboxUid } };
}
