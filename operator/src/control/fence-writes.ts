import type { KubeFetch } from "#core/kubernetes/client.ts";
import { KubeError } from "#core/kubernetes/kube-error.ts";

/** A way to the API server on which nothing is written while the program may not act: the last look before the wire. */
export function fenceWrites(fetch: KubeFetch, mayWrite: () => boolean): KubeFetch {
  return async (path, init) => {
    const isRead = init.method === undefined || init.method === "GET";
    if (!isRead && !mayWrite()) throw new KubeError(0, "This replica does not lead", { reason: "NotLeader" });
    return fetch(path, init);
  };
}
